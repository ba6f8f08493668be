"""Colours; pixels stay in [0, 1]."""

from __future__ import annotations

from torch import Tensor

from dlkit.augment import Draws, Scenes


def brightness(scenes: Scenes, _draws: Draws, *, change: Tensor) -> Scenes:
    """Pixels times 1 + ``change`` ``(B,)``, as torchvision's ``adjust_brightness``."""
    return scenes.with_images((scenes.images * (1 + change)[:, None, None, None]).clamp_(0, 1))
