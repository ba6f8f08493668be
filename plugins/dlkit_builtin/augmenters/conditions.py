"""Light and weather. Lengths are shares of the shorter side, so that images look alike at any size."""

from __future__ import annotations

import torch
from torch import Tensor

from dlkit.augment import Draws, Scenes
from dlkit_builtin.augmenters.blur import convolved, extent, gaussian_blurred, line
from dlkit_builtin.augmenters.colour import each
from dlkit_builtin.augmenters.fields import smooth

_DISPLAY = 2.2  # the exponent between pixels and light
_FULL = 1000.0  # electrons that a white pixel counts by day
_READ = 3.0  # electrons of noise when it is read
_FOG = 0.85  # its brightness
_STREAK = 0.9
_FLAKES = ((0.004, 0.5), (0.007, 0.35), (0.012, 0.25))  # standard deviations of far, middle and near ones; their share


def low_light(scenes: Scenes, draws: Draws, *, stops: Tensor) -> Scenes:
    """2^−``stops`` ``(B,)`` of the light, counted as electrons by a sensor that adds its own noise when it is read."""
    exposed = scenes.images.clamp(0, 1).pow_(_DISPLAY).mul_(each(2**-stops) * _FULL)
    noise = draws.normal("electrons", *exposed.shape[1:])
    counted = noise.mul_((exposed + _READ**2).sqrt_()).add_(exposed)
    return scenes.with_images(counted.div_(_FULL).clamp_(0, 1).pow_(1 / _DISPLAY))


def fog(scenes: Scenes, draws: Draws, *, density: Tensor) -> Scenes:
    """J t + A (1 − t), t = exp(−``density`` · depth): thicker in drifts and towards the top (Koschmieder 1924)."""
    size, wide = scenes.size, torch.full_like(density, 0.25)
    drifts = smooth(draws, "drifts", 1, size, wide) + 0.5 * smooth(draws, "wisps", 1, size, wide / 3)
    upwards = torch.linspace(0.3, -0.3, size[0], device=drifts.device)[:, None]
    clear = torch.exp(-each(density) * (1 + 0.35 * drifts + upwards).clamp_(0.2, 2))
    return scenes.with_images((scenes.images * clear).add_(_FOG * (1 - clear)).clamp_(0, 1))


def rain(scenes: Scenes, draws: Draws, *, amount: Tensor) -> Scenes:
    """Streaks that fall in one direction for each image, over a scene that has lost contrast; ``amount`` ``(B,)``."""
    length = (0.09 * extent(scenes.size) * (1 + draws.uniform("length"))).clamp_min(2)
    direction = 90 + draws.uniform("wind", low=-20, high=20)
    kernels = line(length, direction)
    kernels = kernels / kernels.amax((1, 2), keepdim=True)
    chance = each(amount * 0.3 / length)
    place = draws.uniform("drops", 1, *scenes.size)
    drops = torch.where(place < chance, 0.3 + 0.7 * place / chance, 0)  # of any brightness
    streaks = convolved(drops, kernels).clamp_(0, 1).mul_(0.6)
    dull = each(1 - 0.35 * amount)
    grey = scenes.images.mean((1, 2, 3), keepdim=True)
    images = (scenes.images * dull).add_(0.95 * grey * (1 - dull))
    return scenes.with_images(images.add_((_STREAK - images).mul_(streaks)).clamp_(0, 1))


def snow(scenes: Scenes, draws: Draws, *, amount: Tensor) -> Scenes:
    """Flakes, far ones small and near ones large, over a scene that is lighter; ``amount`` ``(B,)``."""
    shorter, flakes = extent(scenes.size), torch.zeros_like(scenes.images[:, :1])
    for number, (deviation, share) in enumerate(_FLAKES):
        pixels = max(0.5, deviation * shorter)
        # A flake is about 2π pixels² large; less often where it is larger, so that each kind covers its share.
        chance = each(amount * share * 0.15 / (6.3 * pixels**2)).clamp(max=0.5)
        seeds = (draws.uniform(f"flakes {number}", 1, *scenes.size) < chance).float()
        blurred = gaussian_blurred(seeds, torch.full_like(amount, pixels))
        flakes += blurred.mul_(6.3 * pixels**2).clamp_(0, 1)
    lighter = scenes.images.lerp(torch.ones_like(flakes), each(0.3 * amount))
    return scenes.with_images(lighter.lerp_(torch.ones_like(flakes), flakes.clamp_(0, 1)).clamp_(0, 1))


def shadow(scenes: Scenes, draws: Draws, *, depth: Tensor) -> Scenes:
    """What lies on one side of two straight edges, with soft borders, loses ``depth`` ``(B,)`` of its light."""
    height, width = scenes.size
    x = (torch.arange(width, device=depth.device) + 0.5) / width
    y = ((torch.arange(height, device=depth.device) + 0.5) / height)[:, None]
    covered = torch.ones(1, 1, 1, 1, device=depth.device)
    for edge in ("first", "second"):
        turn = each(draws.uniform(f"{edge} angle", high=2 * torch.pi))
        through = draws.uniform(f"{edge} place", 2, low=0.25, high=0.75)
        beyond = (x - each(through[:, 0])) * turn.cos() + (y - each(through[:, 1])) * turn.sin()
        covered = covered * torch.sigmoid((beyond + 0.15) / 0.02)
    return scenes.with_images(scenes.images * (1 - each(depth) * covered))
