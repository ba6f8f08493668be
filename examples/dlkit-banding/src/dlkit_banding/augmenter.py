"""Bands of light: a rolling shutter reads row after row, while the lamp goes through twice its frequency.

A row at the height y, from 0 to 1, is lit by 1 − amount · sin²(π (bands · y + phase)); the phase is the moment at which
the shutter opens. Cameras are held upright or sideways, so the rows may be columns.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dlkit.augment import Draws, Scenes


def banding(scenes: Scenes, draws: Draws, *, amount: Tensor, bands: Tensor) -> Scenes:
    """Light the images; ``amount`` and ``bands`` are float32 ``(B,)``, one for each image."""
    height, width = scenes.size
    phase = draws.uniform("phase")  # (B,), the same for a sample whatever its batch
    sideways = draws.uniform("sideways") < 0.5
    down = _light(height, amount, bands, phase)[:, None, :, None]  # (B, 1, H, 1)
    across = _light(width, amount, bands, phase)[:, None, None, :]  # (B, 1, 1, W)
    light = torch.where(sideways[:, None, None, None], across, down)
    return scenes.with_images(scenes.images * light)


def _light(size: int, amount: Tensor, bands: Tensor, phase: Tensor) -> Tensor:
    """``(B, size)``, between 1 − amount and 1."""
    place = (torch.arange(size, device=amount.device) + 0.5) / size
    turns = bands[:, None] * place + phase[:, None]
    return 1 - amount[:, None] * (math.pi * turns).sin().square()
