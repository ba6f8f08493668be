"""Encoder and decoder, fully connected or convolutional; both may be told the class.

The encoder maps images ``(B, C, H, W)`` to mean and log variance of q(z|x), ``(B, Z)`` each; the decoder maps codes
``(B, Z)`` to images ``(B, C, H, W)``: logits, or means. A class is a one-hot row ``(B, K)``, appended to the pixels
(dense), to the last maps (conv) and to the code.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from dlkit.layers import after
from dlkit_builtin.vae.options import VaeOptions

Shape = tuple[int, int, int]

DENSE_LAYERS = (512,)
CONV_LAYERS = (32, 64)
KERNEL = 3


def build(options: VaeOptions, shape: Shape, classes: int) -> tuple[nn.Module, DenseDecoder | ConvDecoder]:
    """Encoder and decoder for images of ``shape`` (C, H, W).

    Args:
        options: which of them.
        shape: of an image.
        classes: how many there are to be told; 0: none.
    """
    if options.net == "dense":
        widths = DENSE_LAYERS if options.layers is None else options.layers
        return DenseEncoder(shape, widths, classes, options), DenseDecoder(shape, widths[::-1], classes, options)
    channels = CONV_LAYERS if options.layers is None else options.layers
    sizes = [shape[1:]]
    for _ in channels:
        height, width = sizes[-1]
        sizes.append((math.ceil(height / 2), math.ceil(width / 2)))
    encoder = ConvEncoder(shape[0], channels, sizes[-1], classes, options)
    return encoder, ConvDecoder(shape[0], channels[::-1], sizes[::-1], classes, options)


class DenseEncoder(nn.Module):
    """Pixels → hidden layers → mean and log variance."""

    def __init__(self, shape: Shape, widths: tuple[int, ...], classes: int, options: VaeOptions) -> None:
        super().__init__()
        inputs = math.prod(shape) + classes
        self.hidden = _hidden((inputs, *widths), options)
        self.statistics = nn.Linear((inputs, *widths)[-1], 2 * options.code)

    def forward(self, images: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """``(B, C, H, W)`` and ``(B, K)`` or None → ``(B, Z)`` twice."""
        return _halves(self.statistics(self.hidden(_with(images.flatten(1), condition))))


class DenseDecoder(nn.Module):
    """Code → hidden layers → pixels."""

    def __init__(self, shape: Shape, widths: tuple[int, ...], classes: int, options: VaeOptions) -> None:
        super().__init__()
        self.shape = shape
        inputs = options.code + classes
        self.hidden = _hidden((inputs, *widths), options)
        self.output = nn.Linear((inputs, *widths)[-1], math.prod(shape))

    def forward(self, codes: Tensor, condition: Tensor | None) -> Tensor:
        """``(B, Z)`` and ``(B, K)`` or None → ``(B, C, H, W)``."""
        pixels: Tensor = self.output(self.hidden(_with(codes, condition)))
        return pixels.view(-1, *self.shape)

    def start_from(self, activations: Tensor) -> None:
        """Biases of the output: activations ``(C, H, W)``, each pixel its own."""
        self.output.bias.copy_(activations.flatten())


class ConvEncoder(nn.Module):
    """Convolutions of stride 2, which halve height and width (rounding up), then mean and log variance."""

    def __init__(
        self, inputs: int, channels: tuple[int, ...], smallest: tuple[int, int], classes: int, options: VaeOptions
    ) -> None:
        super().__init__()
        stages = (
            (nn.Conv2d(before, here, KERNEL, stride=2, padding=KERNEL // 2), *after(here, options, maps=True))
            for before, here in pairwise((inputs, *channels))
        )
        self.stages = nn.Sequential(*(module for stage in stages for module in stage))
        self.statistics = nn.Linear(channels[-1] * math.prod(smallest) + classes, 2 * options.code)

    def forward(self, images: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """``(B, C, H, W)`` and ``(B, K)`` or None → ``(B, Z)`` twice."""
        return _halves(self.statistics(_with(self.stages(images).flatten(1), condition)))


class ConvDecoder(nn.Module):
    """A linear layer, transposed convolutions to the encoder's exact sizes, a last convolution."""

    def __init__(
        self, outputs: int, channels: tuple[int, ...], sizes: list[tuple[int, int]], classes: int, options: VaeOptions
    ) -> None:
        super().__init__()
        self.smallest = (channels[0], *sizes[0])
        width = math.prod(self.smallest)
        self.start = nn.Sequential(nn.Linear(options.code + classes, width), *after(width, options, maps=False))
        modules: list[nn.Module] = []
        for (before, here), (small, large) in zip(pairwise((*channels, channels[-1])), pairwise(sizes), strict=True):
            # n → 2n − 1 + output_padding, so that odd sizes come back exactly.
            missing = (large[0] - 2 * small[0] + 1, large[1] - 2 * small[1] + 1)
            modules.append(nn.ConvTranspose2d(before, here, KERNEL, 2, KERNEL // 2, output_padding=missing))
            modules += after(here, options, maps=True)
        self.stages = nn.Sequential(*modules)
        self.output = nn.Conv2d(channels[-1], outputs, KERNEL, padding=KERNEL // 2)

    def forward(self, codes: Tensor, condition: Tensor | None) -> Tensor:
        """``(B, Z)`` and ``(B, K)`` or None → ``(B, C, H, W)``."""
        maps = self.start(_with(codes, condition)).unflatten(1, self.smallest)
        pixels: Tensor = self.output(self.stages(maps))
        return pixels

    def start_from(self, activations: Tensor) -> None:
        """Biases of the output: the mean over places of activations ``(C, H, W)``."""
        self.output.get_parameter("bias").copy_(activations.mean((1, 2)))


def _hidden(widths: tuple[int, ...], options: VaeOptions) -> nn.Sequential:
    layers = ((nn.Linear(before, here), *after(here, options, maps=False)) for before, here in pairwise(widths))
    return nn.Sequential(*(module for layer in layers for module in layer))


def _with(values: Tensor, condition: Tensor | None) -> Tensor:
    return values if condition is None else torch.cat((values, condition.to(values.dtype)), 1)


def _halves(statistics: Tensor) -> tuple[Tensor, Tensor]:
    mean, log_variance = statistics.chunk(2, 1)
    return mean, log_variance
