"""Tiny data that every technique is tried out on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

SIDE = 8
COUNTS = {"train": 36, "val": 12, "test": 12}
CLASSES = ("down", "across", "square")

Colours = Literal["1", "3"]


def shapes(channels: Colours = "1", *, side: int = SIDE, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Bars down, bars across and squares on noise: images ``(N, H, W)`` or ``(N, H, W, 3)``, labels ``(N,)``.

    Coloured ones have a hue for each class, which the grey ones do not show.
    """
    random = np.random.default_rng(seed)
    count = sum(COUNTS.values())
    images = random.integers(0, 40, (count, side, side)).astype(np.uint8)
    labels = np.arange(count) % len(CLASSES)
    for image, label in zip(images, labels, strict=True):
        row, column = random.integers(0, side - 3, 2)
        rows = slice(None) if label == 0 else slice(row, row + 3)
        columns = slice(None) if label == 1 else slice(column, column + 3)
        image[rows, columns] += 200
    if channels == "1":
        return images, labels
    hues = np.array([[1.0, 0.5, 0.2], [0.2, 1.0, 0.5], [0.5, 0.2, 1.0]])[labels]
    coloured = images[..., None] * hues[:, None, None, :]
    return coloured.astype(np.uint8), labels


def write_shapes(path: Path, channels: Colours = "1", *, labelled: bool = True) -> Path:
    """Write them as an archive that ``--data`` takes, with their splits."""
    images, labels = shapes(channels)
    split = np.repeat(list(COUNTS), list(COUNTS.values()))
    known: dict[str, Any] = {"labels": labels, "classes": np.array(CLASSES)} if labelled else {}
    np.savez(path, images=images, split=split, **known)
    return path
