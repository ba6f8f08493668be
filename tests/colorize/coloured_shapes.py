"""Images whose colours are a rule: discs are orange, squares are blue, whatever their lightness; the ground is grey."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from skimage.color import lab2rgb

COLOURS = {"disc": (30.0, 50.0), "square": (5.0, -40.0)}


def coloured_shapes(count: int, height: int = 16, width: int = 16, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """``(N, H, W, 3)`` uint8 and labels ``(N,)``; the lightness of shape and ground says nothing of the colour."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    images, labels = np.empty((count, height, width, 3), np.uint8), np.arange(count) % 2
    for image, label in zip(images, labels, strict=True):
        lab = np.zeros((height, width, 3))
        lab[..., 0] = random.uniform(20, 40)
        row, column = random.uniform(4, height - 4), random.uniform(4, width - 4)
        inside = (
            np.hypot(rows - row, columns - column) < 3.6
            if label == 0
            else np.maximum(abs(rows - row), abs(columns - column)) < 3.2
        )
        lab[inside] = (random.uniform(55, 70), *list(COLOURS.values())[label])
        image[:] = np.rint(lab2rgb(lab) * 255)
    return images, labels


def write(path: Path, **given: int) -> Path:
    """As an ``.npz``: two thirds to train on, a sixth each to validate and to test."""
    images, labels = coloured_shapes(**({"count": 192} | given))
    sixth = len(images) // 6
    split = np.repeat(["train", "val", "test"], [len(images) - 2 * sixth, sixth, sixth])
    np.savez(path, images=images, labels=labels, classes=np.array(list(COLOURS)), split=split)
    return path
