"""What covers parts of images."""

from __future__ import annotations

import torch
from torch import Tensor

from dlkit.augment import Draws, Scenes


def cut_out(scenes: Scenes, draws: Draws, *, share: Tensor, grey: Tensor) -> Scenes:
    """Cover a square with side ``share`` ``(B,)`` of the shorter side; part of it may lie outside the image."""
    (height, width), device = scenes.size, scenes.images.device
    side = share[:, None] * min(height, width) / 2
    centre = draws.uniform("centre", 2)
    rows, columns = (torch.arange(size, device=device) + 0.5 for size in (height, width))
    tall = (rows - centre[:, :1] * height).abs() < side
    wide = (columns - centre[:, 1:] * width).abs() < side
    covered = tall[:, None, :, None] & wide[:, None, None, :]
    return scenes.with_images(torch.where(covered, grey[:, None, None, None], scenes.images))
