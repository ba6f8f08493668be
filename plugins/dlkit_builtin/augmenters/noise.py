"""Noise; pixels stay in [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor

from dlkit.augment import Draws, Scenes
from dlkit_builtin.augmenters.colour import each


def gaussian(scenes: Scenes, draws: Draws, *, std: Tensor) -> Scenes:
    """Add N(0, ``std``²) to each pixel and channel; ``(B,)``."""
    noise = draws.normal("noise", *scenes.images.shape[1:])
    return scenes.with_images(noise.mul_(each(std)).add_(scenes.images).clamp_(0, 1))


def speckle(scenes: Scenes, draws: Draws, *, std: Tensor) -> Scenes:
    """Multiply each pixel and channel by 1 + N(0, ``std``²); ``(B,)``."""
    noise = draws.normal("noise", *scenes.images.shape[1:])
    return scenes.with_images(noise.mul_(each(std)).add_(1).mul_(scenes.images).clamp_(0, 1))


def poisson(scenes: Scenes, draws: Draws, *, noise: Tensor) -> Scenes:
    """Count photons, of which white is 1 / ``noise``² ``(B,)`` in the mean."""
    photons = each(noise.square().reciprocal())
    rates = scenes.images * photons
    pairs = zip(rates, draws.generators("photons"), strict=True)
    counts = [torch.poisson(rate, generator) for rate, generator in pairs]
    return scenes.with_images(torch.stack(counts).div_(photons).clamp_(0, 1))


def salt_and_pepper(scenes: Scenes, draws: Draws, *, share: Tensor) -> Scenes:
    """``share`` ``(B,)`` of the pixels become black or white, all channels of a pixel together."""
    place, share = draws.uniform("pixels", 1, *scenes.size), each(share)
    images = scenes.images.masked_fill(place < share / 2, 0)
    return scenes.with_images(images.masked_fill_(place >= 1 - share / 2, 1))


def sensor(scenes: Scenes, draws: Draws, *, share: Tensor) -> Scenes:
    """``share`` ``(B,)`` of the pixels of each channel are stuck at a level of their own."""
    place, share = draws.uniform("pixels", *scenes.images.shape[1:]), each(share)
    # Where a number is below the share, number / share is even in [0, 1) again.
    return scenes.with_images(torch.where(place < share, place / share, scenes.images))
