"""Runs of the double, which is a technique like any other here."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import double_technique
import pytest

import dlkit
from dlkit.run import Run, open_run

Make = Callable[..., Run]


@pytest.fixture(autouse=True, scope="module")
def _double() -> Iterator[None]:
    yield from double_technique.registered()


@pytest.fixture(scope="session")
def trained_doubles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Path]]:
    """Where doubles are trained, and those that are, by their options."""
    return tmp_path_factory.mktemp("doubles"), {}


@pytest.fixture
def make(shapes_npz: Path, tmp_path: Path, trained_doubles: tuple[Path, dict[str, Path]]) -> Make:
    """A run of the double, one's own: ``make(can="encode,decode", units=3)``; each kind is trained once."""

    def train(**options: object) -> Run:
        runs, known = trained_doubles
        key = repr(sorted(options.items()))
        if key not in known:
            known[key] = dlkit.train("double", data=shapes_npz, threads=1, runs=runs, **options).run.path
        target = tmp_path / "runs" / "double" / known[key].name
        return open_run(str(shutil.copytree(known[key], target)))

    return train
