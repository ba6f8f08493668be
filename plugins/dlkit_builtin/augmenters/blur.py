"""Blur: each image with a kernel of its own size; beyond the border the image's edge goes on.

Sizes are shares of the shorter side, so that blur looks alike on images of any size.
"""

from __future__ import annotations

import math

import torch
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn import functional as F

from dlkit.augment import Draws, Scenes


def gaussian(scenes: Scenes, _draws: Draws, *, radius: Tensor) -> Scenes:
    """With a Gaussian whose standard deviation is ``radius`` ``(B,)`` of the shorter side."""
    return scenes.with_images(gaussian_blurred(scenes.images, radius * extent(scenes.size)).clamp_(0, 1))


def motion(scenes: Scenes, draws: Draws, *, length: Tensor, angle: Tensor) -> Scenes:
    """Along a line ``length`` ``(B,)`` of the shorter side, in any direction within ± ``angle`` degrees ``(B,)``."""
    direction = angle * draws.uniform("direction", low=-1, high=1)
    return scenes.with_images(convolved(scenes.images, line(length * extent(scenes.size), direction)).clamp_(0, 1))


def defocus(scenes: Scenes, _draws: Draws, *, radius: Tensor) -> Scenes:
    """With a disc whose radius is ``radius`` ``(B,)`` of the shorter side."""
    pixels = radius * extent(scenes.size)
    x, y = _places(math.ceil(float(pixels.max())), pixels.device)
    kernels = (pixels[:, None, None] + 0.5 - torch.hypot(x, y)).clamp_(0, 1)
    return scenes.with_images(convolved(scenes.images, _normed(kernels)).clamp_(0, 1))


def extent(size: tuple[int, int]) -> int:
    """The shorter side in pixels; at least 32, since in images of few pixels a share of them is nothing."""
    return max(32, min(size))


def gaussian_blurred(images: Tensor, deviations: Tensor) -> Tensor:
    """Images ``(B, C, H, W)`` through Gaussians with standard deviations in pixels, ``(B,)``, cut at three of them."""
    from kornia.filters import filter2d_separable

    reach = (3 * deviations).ceil().clamp_min(1)
    places = torch.arange(-int(reach.max()), int(reach.max()) + 1, device=images.device)
    weights = torch.exp(-(places / deviations.clamp_min(1e-6)[:, None]).square() / 2)
    weights = weights * (places.abs() <= reach[:, None])  # an image's own kernel, whatever the others' sizes
    weights = weights / weights.sum(1, keepdim=True)
    blurred: Tensor = filter2d_separable(images, weights, weights, "replicate")
    return blurred


def line(lengths: Tensor, directions: Tensor) -> Tensor:
    """Kernels ``(B, K, K)`` that sum to one: lines of a pixel's width, lengths ``(B,)`` in pixels, directions in °."""
    x, y = _places(math.ceil(float(lengths.max()) / 2), lengths.device)
    radians = torch.deg2rad(directions)[:, None, None]
    along, across = x * radians.cos() - y * radians.sin(), x * radians.sin() + y * radians.cos()
    ends = (lengths[:, None, None] / 2 + 0.5 - along.abs()).clamp_(0, 1)
    return _normed(ends * (1 - across.abs()).clamp_(0, 1))


def convolved(images: Tensor, kernels: Tensor) -> Tensor:
    """Images ``(B, C, H, W)`` with kernels ``(B, K, K)`` of their own, K odd; by FFT, which does not mind large K."""
    (height, width), size = images.shape[-2:], kernels.shape[-1]
    padded = F.pad(images, [size // 2] * 4, mode="replicate")
    shape = [next_fast_len(length, real=True) for length in padded.shape[-2:]]
    spectrum = torch.fft.rfft2(padded, s=shape) * torch.fft.rfft2(kernels, s=shape)[:, None]
    found: Tensor = torch.fft.irfft2(spectrum, s=shape)[..., size - 1 :, size - 1 :]
    return found[..., :height, :width].contiguous()


def _places(reach: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """x and y of a kernel's pixels, ``(1, K)`` and ``(K, 1)``."""
    steps = torch.arange(-reach, reach + 1, device=device, dtype=torch.float32)
    return steps[None], steps[:, None]


def _normed(kernels: Tensor) -> Tensor:
    return kernels / kernels.sum((1, 2), keepdim=True)
