"""Runs of the double, which is a technique like any other here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import double_technique
import pytest

import dlkit
from dlkit.run import Run

Make = Callable[..., Run]


@pytest.fixture(autouse=True, scope="module")
def _double() -> Iterator[None]:
    yield from double_technique.registered()


@pytest.fixture
def make(shapes_npz: Path, tmp_path: Path) -> Make:
    """Trains a double: ``make(can="encode,decode", units=3)``."""

    def train(**options: object) -> Run:
        return dlkit.train("double", data=shapes_npz, threads=1, runs=tmp_path / "runs", **options).run

    return train
