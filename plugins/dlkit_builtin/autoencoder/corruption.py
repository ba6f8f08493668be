"""Corrupting images; the names and amounts are in ``noise``."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from dlkit_builtin.autoencoder.noise import Noise


def corrupt(images: Tensor, noise: Noise, generator: Generator) -> Tensor:
    """A corrupted copy; every image gets draws of its own.

    Args:
        images: pixels in [0, 1], float32, ``(B, C, H, W)``.
        noise: which corruptions, applied in order.
        generator: the source of the draws, on the images' device.

    Returns:
        ``(B, C, H, W)``, not clipped: Gaussian noise leaves [0, 1]. A missing or covered pixel is missing in all
        of its channels.
    """
    for part in noise.parts:
        images = _KINDS[part.kind](images, part.amount, generator)
    return images


def _gaussian(images: Tensor, sigma: float, generator: Generator) -> Tensor:
    return torch.empty_like(images).normal_(0.0, sigma, generator=generator).add_(images)


def _speckle(images: Tensor, sigma: float, generator: Generator) -> Tensor:
    return torch.empty_like(images).normal_(1.0, sigma, generator=generator).mul_(images)


def _mask(images: Tensor, share: float, generator: Generator) -> Tensor:
    return images * (_uniform_per_pixel(images, generator) >= share)


def _salt_pepper(images: Tensor, share: float, generator: Generator) -> Tensor:
    draw = _uniform_per_pixel(images, generator)  # (B, 1, H, W)
    peppered = torch.where(draw < share / 2, 0.0, images)
    return torch.where(draw >= 1 - share / 2, 1.0, peppered)


def _bars(images: Tensor, width: float, generator: Generator) -> Tensor:
    rows, columns = _window(images, width, generator)
    upright = torch.rand(len(images), 1, 1, device=images.device, generator=generator) < 0.5
    covered = torch.where(upright, columns, rows)  # (B, H, W)
    return images * ~covered.unsqueeze(1)


def _block(images: Tensor, side: float, generator: Generator) -> Tensor:
    rows, columns = _window(images, side, generator)
    return images * ~(rows & columns).unsqueeze(1)


def _window(images: Tensor, size: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """A band of ``size`` rows ``(B, H, 1)`` and one of ``size`` columns ``(B, 1, W)``, anywhere inside the image."""
    count, _, height, width = images.shape
    bands = []
    for length in (height, width):
        places = max(length - int(size), 0) + 1
        draw = torch.rand(count, 1, device=images.device, generator=generator)
        start = (draw * places).floor()  # (B, 1)
        position = torch.arange(length, device=images.device)
        bands.append((position >= start) & (position < start + size))  # (B, length)
    return bands[0].unsqueeze(2), bands[1].unsqueeze(1)


def _uniform_per_pixel(images: Tensor, generator: Generator) -> Tensor:
    count, _, height, width = images.shape
    return torch.rand(count, 1, height, width, device=images.device, generator=generator)


_KINDS: dict[str, Callable[[Tensor, float, Generator], Tensor]] = {
    "gaussian": _gaussian,
    "speckle": _speckle,
    "mask": _mask,
    "salt-pepper": _salt_pepper,
    "bars": _bars,
    "block": _block,
}
