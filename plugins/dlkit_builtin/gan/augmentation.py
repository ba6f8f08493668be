"""Differentiable augmentation: the discriminator sees genuine and generated images through the same random changes.

With few images a discriminator learns them by heart. Changes that it must see through prevent that, and since they
can be differentiated, the generator does not learn to make changed images (Zhao et al. 2020, section 3; the strengths
are those of its appendix).

=============  ====================================================================================================
color          brightness + U(−½, ½); saturation × U(0, 2) around the pixel's grey; contrast × U(½, 3/2) around
               the image's mean
translation    by up to an eighth of height and width, black where nothing was
cutout         a square of half the height and width is made mid-grey (0, of images in [−1, 1])
=============  ====================================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

_SHIFT, _CUT = 1 / 8, 1 / 2


@dataclass(frozen=True)
class Changes:
    """What is done to images ``(B, C, H, W)``; drawn once for an update.

    Attributes:
        kinds: which changes.
        draws: uniform numbers, ``(B, 7)``, a column for each random quantity.
    """

    kinds: Sequence[str]
    draws: Tensor

    def __call__(self, images: Tensor) -> Tensor:
        """The changed images."""
        draws = self.draws.to(images.dtype)
        if "color" in self.kinds:
            images = _color(images, draws)
        if "translation" in self.kinds:
            images = _translation(images, draws)
        if "cutout" in self.kinds:
            images = _cutout(images, draws)
        return images


def draw_changes(kinds: Sequence[str], count: int, generator: torch.Generator) -> Changes:
    """Changes for ``count`` images."""
    return Changes(kinds, torch.rand(count, 7, generator=generator, device=generator.device))


def _color(images: Tensor, draws: Tensor) -> Tensor:
    brightness, saturation, contrast = (draws[:, place, None, None, None] for place in range(3))
    images = images + brightness - 0.5
    grey = images.mean(1, keepdim=True)
    images = torch.lerp(grey, images, 2 * saturation)
    mean = images.mean((1, 2, 3), keepdim=True)
    return torch.lerp(mean, images, contrast + 0.5)


def _translation(images: Tensor, draws: Tensor) -> Tensor:
    height, width = images.shape[-2:]
    rows, columns = round(height * _SHIFT), round(width * _SHIFT)
    down, right = _integers(draws[:, 3], 2 * rows + 1), _integers(draws[:, 4], 2 * columns + 1)
    padded = F.pad(images, (columns, columns, rows, rows), value=-1.0)
    y = (down[:, None] + torch.arange(height, device=images.device))[:, None, :, None]
    x = (right[:, None] + torch.arange(width, device=images.device))[:, None, None, :]
    batch = torch.arange(len(images), device=images.device)[:, None, None, None]
    channel = torch.arange(images.shape[1], device=images.device)[None, :, None, None]
    moved: Tensor = padded[batch, channel, y, x]
    return moved


def _cutout(images: Tensor, draws: Tensor) -> Tensor:
    height, width = images.shape[-2:]
    tall, wide = round(height * _CUT), round(width * _CUT)
    top = _integers(draws[:, 5], height - tall + 1)[:, None]
    left = _integers(draws[:, 6], width - wide + 1)[:, None]
    y, x = torch.arange(height, device=images.device), torch.arange(width, device=images.device)
    inside = ((y >= top) & (y < top + tall))[:, None, :, None] & ((x >= left) & (x < left + wide))[:, None, None, :]
    return images.masked_fill(inside, 0.0)


def _integers(draws: Tensor, count: int) -> Tensor:
    """Uniform numbers in [0, 1) → integers in [0, count)."""
    return (draws * count).long().clamp(max=count - 1)
