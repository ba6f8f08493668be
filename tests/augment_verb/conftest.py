"""Small trained runs, which the tests of this folder only read."""

from __future__ import annotations

from pathlib import Path

import pytest

import dlkit
from dlkit.run import Run


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory, shapes_npz: Path) -> Run:
    """A classifier that tells the three shapes apart."""
    runs = tmp_path_factory.mktemp("classifier")
    return dlkit.train("classifier", data=shapes_npz, net="mlp", layers="32", epochs=12, batch_size=16, threads=1,
                       runs=runs).run  # fmt: skip


@pytest.fixture(scope="session")
def generator(tmp_path_factory: pytest.TempPathFactory, shapes_npz: Path) -> Run:
    """A conditional VAE of the three shapes."""
    runs = tmp_path_factory.mktemp("generator")
    return dlkit.train("vae", data=shapes_npz, conditional=True, layers="16", code=4, epochs=1, threads=1, seed=5,
                       runs=runs).run  # fmt: skip
