"""How many images a comparison can afford."""

from __future__ import annotations

import math
from collections.abc import Sequence

VALUES = 100_000_000
"""At most so many pixel values are held at once: 10,000 images of MNIST or CIFAR, 660 of 224 × 224 × 3."""


def affordable(most: int, shape: Sequence[int]) -> int:
    """``most`` images, or as many of ``shape`` (C, H, W) as 100 million values allow (400 MB in float32)."""
    return max(1, min(most, VALUES // math.prod(shape)))
