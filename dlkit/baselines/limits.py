"""How many images a comparison can afford."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from dlkit.data.spread import evenly

if TYPE_CHECKING:
    from dlkit.data import Split

VALUES = 100_000_000
"""At most so many pixel values are held at once: 10,000 images of MNIST or CIFAR, 660 of 224 × 224 × 3."""


def affordable(most: int, shape: Sequence[int]) -> int:
    """``most`` images, or as many of ``shape`` (C, H, W) as 100 million values allow (400 MB in float32)."""
    return max(1, min(most, VALUES // math.prod(shape)))


def spread(split: Split, most: int, values: int = VALUES) -> Split:
    """At most ``most`` images of a split and ``values`` pixel values in all, spread evenly; always the same ones."""
    if not len(split):
        return split
    most = max(1, min(most, values // split.raw(torch.tensor([0])).numel()))
    return split if len(split) <= most else split.subset(evenly(len(split), most))
