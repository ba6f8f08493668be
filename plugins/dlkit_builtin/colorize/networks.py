"""Lightness → colour: a convolutional encoder–decoder with skip connections (Ronneberger, Fischer and Brox 2015)."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlkit.errors import UsageError
from dlkit.layers import after
from dlkit_builtin.colorize.options import ColorizeOptions

SMALLEST = 4
"""By default levels are added until maps are about so wide…"""
MOST_LEVELS = 5
"""… or there are so many, as in figure 1 of the paper."""
FIRST = 16
PLACES = 64
"""Zhang et al. 2016 predict colours at 64 × 64 places."""


class UNet(nn.Module):
    """Levels of two 3 × 3 convolutions, each level half as large; and the way back, which sees each level again.

    Other than in the paper, convolutions keep the size, so that outputs are as large as inputs, and maps grow by
    nearest neighbour and convolution, which makes no checkerboard (Odena et al. 2016). Sizes that are not even are
    rounded up on the way down and met exactly on the way up.

    Args:
        inputs: channels of the images.
        outputs: channels of the result.
        size: height and width of the images.
        options: ``layers`` and what follows a layer.
        subsample: the result is this many times smaller, a power of 2.

    Attributes:
        channels: of each level; the last one's are the code.

    Raises:
        UsageError: fewer levels than ``subsample`` needs.
    """

    def __init__(
        self, inputs: int, outputs: int, size: tuple[int, int], options: ColorizeOptions, subsample: int
    ) -> None:
        super().__init__()
        self.channels = options.layers or default_channels(size)
        skipped = subsample.bit_length() - 1
        if skipped >= len(self.channels):
            raise UsageError(
                f"--subsample {subsample} needs {skipped + 1} levels; there are {len(self.channels)}.",
                "Give more channels with --layers, or a smaller --subsample.",
            )
        self.down = nn.ModuleList(_level(a, b, options) for a, b in pairwise((inputs, *self.channels)))
        back = [*pairwise(self.channels[::-1])][: len(self.channels) - 1 - skipped]
        self.grow = nn.ModuleList(_convolution(a, b, options) for a, b in back)
        self.up = nn.ModuleList(_level(2 * b, b, options) for _, b in back)
        self.output = nn.Conv2d(self.channels[skipped], outputs, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, inputs, H, W)`` → result ``(B, outputs, ⌈H/s⌉, ⌈W/s⌉)`` and code ``(B, Z)``."""
        levels = self.encode(images)
        maps = levels[-1]
        for grow, level, skip in zip(self.grow, self.up, levels[-2::-1], strict=False):
            larger = F.interpolate(maps, size=skip.shape[-2:], mode="nearest")
            maps = level(torch.cat([skip, grow(larger)], 1))
        return self.output(maps), code_of(levels)

    @torch.no_grad()
    def start_from(self, outputs: Tensor) -> None:
        """Give ``outputs``, ``(outputs,)``, at every place, as long as the output layer's weights are zero."""
        self.output.get_parameter("bias").copy_(outputs)

    def encode(self, images: Tensor) -> list[Tensor]:
        """The maps of each level, the largest first."""
        levels: list[Tensor] = []
        for level in self.down:
            images = level(F.max_pool2d(levels[-1], 2, ceil_mode=True) if levels else images)
            levels.append(images)
        return levels


def code_of(levels: list[Tensor]) -> Tensor:
    """The mean over the smallest maps, ``(B, Z)``."""
    return levels[-1].mean((2, 3))


def default_channels(size: tuple[int, int]) -> tuple[int, ...]:
    """16, 32, 64…: a level for each halving down to about 4 pixels."""
    halvings = max(1, int(math.log2(max(min(size), 2 * SMALLEST) / SMALLEST)))
    return tuple(FIRST << level for level in range(min(halvings + 1, MOST_LEVELS)))


def subsampling(options: ColorizeOptions, size: tuple[int, int]) -> int:
    """``--subsample``, or its default."""
    if options.subsample is not None or options.mode == "regression":
        return options.subsample or 1
    return 1 << max(0, math.ceil(math.log2(max(size) / PLACES)))


def _level(inputs: int, outputs: int, options: ColorizeOptions) -> nn.Sequential:
    return nn.Sequential(_convolution(inputs, outputs, options), _convolution(outputs, outputs, options))


def _convolution(inputs: int, outputs: int, options: ColorizeOptions) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), *after(outputs, options, maps=True))
