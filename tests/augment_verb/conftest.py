"""Small trained runs, which the tests of this folder only read; trainings here draw no pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import dlkit
from dlkit.files import write_json
from dlkit.run import Run


@pytest.fixture(autouse=True, scope="module")
def _no_pictures() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dlkit.session.save_pictures", lambda _, plots: write_json(plots / "index.json", []))
        yield


@pytest.fixture(scope="module")
def classifier(_no_pictures: None, tmp_path_factory: pytest.TempPathFactory, shapes_npz: Path) -> Run:
    """A classifier that tells the three shapes apart."""
    runs = tmp_path_factory.mktemp("classifier")
    return dlkit.train("classifier", data=shapes_npz, net="mlp", layers="32", epochs=12, batch_size=16, threads=1,
                       runs=runs).run  # fmt: skip


@pytest.fixture(scope="module")
def generator(_no_pictures: None, tmp_path_factory: pytest.TempPathFactory, shapes_npz: Path) -> Run:
    """A conditional VAE of the three shapes."""
    runs = tmp_path_factory.mktemp("generator")
    return dlkit.train("vae", data=shapes_npz, conditional=True, layers="16", code=4, epochs=1, threads=1, seed=5,
                       runs=runs).run  # fmt: skip
