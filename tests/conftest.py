"""Tiny data and one trained run, shared by the tests that only read them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import dlkit  # noqa: F401 - before any test imports ONNX Runtime: without telemetry


@pytest.fixture(autouse=True)
def _denormals() -> Iterator[None]:
    """A runtime flushes denormal numbers in the whole process, and Hypothesis refuses to draw floats then."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """The same weights whatever ran before: a network that a test makes without a seed draws from torch's generator."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


def shapes(count: int = 96, *, side: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images ``(N, H, W)`` uint8 of three classes (bars down, bars across, squares) and their labels."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 40, (count, side, side)).astype(np.uint8)
    labels = np.arange(count) % 3
    for image, label in zip(images, labels, strict=True):
        row, column = random.integers(0, side - 3, 2)
        image[slice(None) if label == 0 else slice(row, row + 3), slice(None) if label == 1 else slice(column, column + 3)] += 200  # noqa: E501  # fmt: skip
    return images, labels


@pytest.fixture(scope="session")
def shapes_npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """96 images of 8 × 8 in three classes: 64 to train on, 16 to validate, 16 to test."""
    images, labels = shapes()
    path = tmp_path_factory.mktemp("data") / "shapes.npz"
    split = np.repeat(["train", "val", "test"], [64, 16, 16])
    np.savez(path, images=images, labels=labels, classes=np.array(["down", "across", "square"]), split=split)
    return path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, shapes_npz: Path) -> Path:
    """A small denoising autoencoder after two epochs, trained through the command line. Read only."""
    from dlkit.cli.main import main

    root = tmp_path_factory.mktemp("trained") / "runs"
    words = ["train", "autoencoder", "--denoise", "--data", str(shapes_npz), "--layers", "16", "--code", "6",
             "--epochs", "2", "--batch-size", "16", "--threads", "1", "--runs", str(root), "--quiet"]  # fmt: skip
    assert main(words) == 0
    return root / "autoencoder" / "shapes-001"
