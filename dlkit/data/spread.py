"""Some of many, evenly spread: what is looked at where all would take too long. The same ones each time."""

from __future__ import annotations

import torch
from torch import Tensor


def evenly(count: int, most: int) -> Tensor:
    """Positions of at most ``most`` of ``count`` things, the first and the last among them; int64, ascending."""
    return torch.linspace(0, count - 1, min(most, count), dtype=torch.float64).round().long()
