"""Made-up data sets with labels of every kind, in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from dlkit.data import ImageData, Split
from dlkit.data.data import Resident
from dlkit.data.spec import DataSpec


def make_data(
    train: np.ndarray,
    test: np.ndarray,
    classes: tuple[str, ...],
    *,
    target: Any = "classes",
    seed: int = 0,
    side: int = 4,
    informative: bool = False,
) -> ImageData:
    """Images of noise (or of their labels, where ``informative``) with the labels given; a test split, no val."""
    random = np.random.default_rng(seed)

    def split(name: str, values: np.ndarray) -> Split:
        images = random.integers(0, 256, (len(values), 1, side, side)).astype(np.uint8)
        if informative:
            images[:, 0, 0] = (np.nan_to_num(values).reshape(len(values), -1)[:, :1] * 40).astype(np.uint8)
        known = torch.from_numpy(values)
        labels, targets = (known, None) if target == "classes" else (None, known)
        files = [f"{name}-{number}.png" for number in range(len(values))]
        return Split(name, Resident(torch.from_numpy(images)), labels, files, None, targets)

    empty = split("val", train[:0])
    spec = DataSpec(source="made", name="made", channels=1, height=side, width=side, classes=classes, target=target)
    return ImageData(spec=spec, train=split("train", train), val=empty, test=split("test", test))


def probabilities(labels: np.ndarray, classes: int, *, skill: float = 1.0, seed: int = 0) -> Tensor:
    """A classifier that is somewhat right: softmax of noise plus ``skill`` on the right class."""
    logits = np.random.default_rng(seed).normal(size=(len(labels), classes))
    logits[np.arange(len(labels)), np.maximum(labels, 0)] += skill
    return torch.from_numpy(logits).float().softmax(1)
