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


def bars(scenes: Scenes, draws: Draws, *, share: Tensor, count: Tensor, axis: str, grey: Tensor) -> Scenes:
    """``count`` ``(B,)`` bars that cover ``share`` ``(B,)`` of the image together, evenly apart, the first anywhere."""
    size = scenes.size[1 if axis == "upright" else 0]
    places = (torch.arange(size, device=share.device) + 0.5) / size
    phase = (places * count[:, None] + draws.uniform("phase", 1)) % 1
    covered = (phase < share[:, None])[:, None, None, :]
    if axis == "level":
        covered = covered.transpose(2, 3)
    return scenes.with_images(torch.where(covered, grey[:, None, None, None], scenes.images))


def erasing(scenes: Scenes, draws: Draws, *, area: Tensor) -> Scenes:
    """A box with ``area`` ``(B,)`` of the image, 0.3 to 3.3 times as high as wide, becomes even noise."""
    (height, width), device = scenes.size, scenes.images.device
    shape = torch.exp(draws.uniform("shape", low=-1.2, high=1.2)) * width / height  # of pixels, not of shares
    tall = (area * shape).sqrt().clamp(max=1)
    wide = (area / tall.clamp_min(1e-6)).clamp(max=1)
    start = draws.uniform("place", 2) * torch.stack((1 - tall, 1 - wide), 1)
    rows, columns = ((torch.arange(side, device=device) + 0.5) / side for side in (height, width))
    down, right = rows - start[:, :1], columns - start[:, 1:]
    inside = ((down >= 0) & (down < tall[:, None]))[:, None, :, None]
    inside = inside & ((right >= 0) & (right < wide[:, None]))[:, None, None, :]
    noise = draws.uniform("noise", *scenes.images.shape[1:])
    return scenes.with_images(torch.where(inside, noise, scenes.images))
