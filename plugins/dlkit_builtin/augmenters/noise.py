"""Noise; pixels stay in [0, 1]."""

from __future__ import annotations

from torch import Tensor

from dlkit.augment import Draws, Scenes


def gaussian(scenes: Scenes, draws: Draws, *, std: Tensor) -> Scenes:
    """Add N(0, std²) to each pixel and channel; ``std`` is ``(B,)``."""
    noise = draws.normal("noise", *scenes.images.shape[1:])
    return scenes.with_images((scenes.images + noise.mul_(std[:, None, None, None])).clamp_(0, 1))
