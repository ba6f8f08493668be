"""Smooth random fields: for elastic shifts, fog and the like."""

from __future__ import annotations

import torch
from torch import Tensor

from dlkit.augment import Draws

_KNOTS = 24


def smooth(draws: Draws, name: str, channels: int, size: tuple[int, int], scale: Tensor) -> Tensor:
    """Normal numbers with mean 0 and variance 1 at each pixel, alike at near ones, float32 ``(B, channels, H, W)``.

    White noise on a grid of knots, seen through Gaussians: rows of weights with norm 1 keep the variance.

    Args:
        draws: of the batch.
        name: of the field.
        channels: how many fields an image has.
        size: (H, W).
        scale: float32 ``(B,)``, the Gaussians' standard deviation as a share of the shorter side, at least 0.03.
    """
    noise = draws.normal(name, channels, _KNOTS, _KNOTS)
    shorter = min(size)
    rows, columns = (_weights(length, scale * shorter)[:, None] for length in size)
    return rows @ noise @ columns.transpose(2, 3)


def _weights(length: int, scale: Tensor) -> Tensor:
    """``(B, length, knots)``; knots reach two standard deviations beyond the border."""
    scale = scale[:, None, None]
    knots = torch.linspace(0, 1, _KNOTS, device=scale.device) * (length + 4 * scale) - 2 * scale
    places = torch.arange(length, device=scale.device)[:, None] + 0.5
    wide = torch.maximum(scale, 0.6 * (length + 4 * scale) / _KNOTS)  # never between the knots
    weights = torch.exp(-((places - knots) / wide).square() / 2)
    normed: Tensor = weights / weights.norm(dim=2, keepdim=True)
    return normed
