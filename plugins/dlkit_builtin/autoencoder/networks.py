"""Encoder and decoder: fully connected (Hinton and Salakhutdinov 2006) or convolutional (Masci et al. 2011).

Both have the same interface. The encoder maps images ``(B, C, H, W)``, normalised, to a code ``(B, Z)`` and a
list of switches (empty but for max-unpooling); the decoder maps code and switches to images ``(B, C, H, W)``,
still normalised, or logits where the output is a sigmoid.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from dlkit.layers import ACTIVATIONS, after
from dlkit_builtin.autoencoder.layers import Nearest, Pool, Transposed, TransposedConv, Unpool, missing
from dlkit_builtin.autoencoder.options import AutoencoderOptions

Shape = tuple[int, int, int]
Encoded = tuple[Tensor, list[Tensor]]
Linear = nn.Linear | Transposed

DENSE_LAYERS = (1000, 500)
CONV_LAYERS = (16, 64)


LARGEST_DEFAULT_CODE = 128


def code_size(options: AutoencoderOptions, shape: Shape) -> int:
    """``--code``, or half the pixel values but at most 128."""
    return options.code or max(1, min(LARGEST_DEFAULT_CODE, math.prod(shape) // 2))


def widths_of(options: AutoencoderOptions) -> tuple[int, ...]:
    """``--layers``, or the default of ``--net``; empty for ``--layers 0``."""
    default = DENSE_LAYERS if options.net == "dense" else CONV_LAYERS
    return default if options.layers is None else tuple(width for width in options.layers if width)


def build(options: AutoencoderOptions, shape: Shape) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder for images of ``shape`` (C, H, W)."""
    code, hidden = code_size(options, shape), widths_of(options)
    if options.net == "dense":
        dense = DenseEncoder((math.prod(shape), *hidden), code, options)
        return dense, DenseDecoder(dense, shape, options)
    sizes = [(shape[1], shape[2])]
    for _ in hidden:
        height, width = sizes[-1]
        sizes.append((math.ceil(height / 2), math.ceil(width / 2)))
    conv = ConvEncoder(shape[0], hidden, sizes[-1], code, options)
    if options.tied:
        return conv, TiedConvDecoder(conv, sizes, options)
    return conv, ConvDecoder(code, shape[0], hidden, sizes, options)


def activation(name: str) -> nn.Module:
    """A non-linearity by name, or ``linear``: none."""
    return nn.Identity() if name == "linear" else ACTIVATIONS[name]()


class DenseEncoder(nn.Module):
    """Pixels → hidden layers → code."""

    def __init__(self, widths: tuple[int, ...], code: int, options: AutoencoderOptions) -> None:
        super().__init__()
        self.hidden = _hidden([nn.Linear(inputs, outputs) for inputs, outputs in pairwise(widths)], widths[1:], options)
        self.code = nn.Linear(widths[-1], code)
        self.unit = activation(options.unit)

    @property
    def linears(self) -> list[nn.Linear]:
        """The weights, from the pixels to the code."""
        return [*(layer for layer in self.hidden if isinstance(layer, nn.Linear)), self.code]

    def forward(self, images: Tensor) -> Encoded:
        """``(B, C, H, W)`` → ``(B, Z)``, no switches."""
        return self.unit(self.code(self.hidden(images.flatten(1)))), []


class DenseDecoder(nn.Module):
    """Code → hidden layers → pixels: the mirror of an encoder, of the same weights with ``--tied``."""

    def __init__(self, encoder: DenseEncoder, shape: Shape, options: AutoencoderOptions) -> None:
        super().__init__()
        self.shape = shape
        mirrored = encoder.linears[::-1]
        linears: list[Linear] = [
            Transposed(layer) if options.tied else nn.Linear(layer.out_features, layer.in_features)
            for layer in mirrored
        ]
        self.hidden = _hidden(linears[:-1], [layer.in_features for layer in mirrored[:-1]], options)
        self.output = linears[-1]

    @property
    def linears(self) -> list[Linear]:
        """The weights, from the code to the pixels."""
        return [*(layer for layer in self.hidden if isinstance(layer, Linear)), self.output]

    def forward(self, code: Tensor, switches: list[Tensor]) -> Tensor:  # noqa: ARG002 - one interface for both
        """``(B, Z)`` → ``(B, C, H, W)``."""
        pixels: Tensor = self.output(self.hidden(code))
        return pixels.view(-1, *self.shape)


def _hidden(linears: Sequence[nn.Module], widths: Sequence[int], options: AutoencoderOptions) -> nn.Sequential:
    modules: list[nn.Module] = []
    for layer, width in zip(linears, widths, strict=True):
        modules += [layer, *after(width, options, maps=False)]
    return nn.Sequential(*modules)


class ConvEncoder(nn.Module):
    """Stages that halve height and width (rounding up), then the code.

    A stage is a convolution of stride 2, or with max-unpooling a convolution and 2 × 2 max-pooling.
    """

    def __init__(
        self,
        inputs: int,
        channels: tuple[int, ...],
        smallest: tuple[int, int],
        code: int,
        options: AutoencoderOptions,
    ) -> None:
        super().__init__()
        pooled = options.upsample == "unpool"
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, here, options.kernel, stride=1 if pooled else 2, padding=options.kernel // 2),
                *after(here, options, maps=True),
            )
            for before, here in pairwise((inputs, *channels))
        )
        self.pool = Pool() if pooled else None
        self.code = nn.Linear(channels[-1] * math.prod(smallest), code)
        self.unit = activation(options.unit)

    def forward(self, images: Tensor) -> Encoded:
        """``(B, C, H, W)`` → ``(B, Z)`` and, with max-unpooling, one tensor of switches per stage."""
        switches: list[Tensor] = []
        for stage in self.stages:
            images = stage(images)
            if self.pool is not None:
                images, where = self.pool(images)
                switches.append(where)
        return self.unit(self.code(images.flatten(1))), switches


class ConvDecoder(nn.Module):
    """A linear layer, stages that double height and width to the encoder's exact sizes, a last convolution."""

    def __init__(
        self,
        code: int,
        outputs: int,
        channels: tuple[int, ...],
        sizes: list[tuple[int, int]],
        options: AutoencoderOptions,
    ) -> None:
        super().__init__()
        self.smallest = (channels[-1], *sizes[-1])
        self.start = nn.Sequential(
            nn.Linear(code, math.prod(self.smallest)),
            *after(math.prod(self.smallest), options, maps=False),
        )
        reversed_channels = (*channels[::-1], channels[0])
        self.stages = nn.ModuleList(
            _Grow(before, here, small, large, options)
            for (before, here), (small, large) in zip(pairwise(reversed_channels), pairwise(sizes[::-1]), strict=True)
        )
        self.output = nn.Conv2d(channels[0], outputs, options.kernel, padding=options.kernel // 2)

    def forward(self, code: Tensor, switches: list[Tensor]) -> Tensor:
        """``(B, Z)`` and the encoder's switches → ``(B, C, H, W)``."""
        maps: Tensor = self.start(code).unflatten(1, self.smallest)
        for index, stage in enumerate(self.stages):
            maps = stage(maps, switches[-1 - index] if switches else None)
        pixels: Tensor = self.output(maps)
        return pixels


class TiedConvDecoder(nn.Module):
    """The adjoint of each of the encoder's layers in reverse order, with biases of its own."""

    def __init__(self, encoder: ConvEncoder, sizes: list[tuple[int, int]], options: AutoencoderOptions) -> None:
        super().__init__()
        convolutions: list[nn.Conv2d] = [stage[0] for stage in encoder.stages][::-1]  # type: ignore[index]
        self.smallest = (convolutions[0].out_channels, *sizes[-1])
        width = math.prod(self.smallest)
        self.start = nn.Sequential(Transposed(encoder.code), *after(width, options, maps=False))
        modules: list[nn.Module] = []
        for layer, (small, large) in zip(convolutions, pairwise(sizes[::-1]), strict=True):
            modules += [TransposedConv(layer, small, large), *after(layer.in_channels, options, maps=True)]
        self.stages = nn.Sequential(*modules[: len(modules) - len(after(1, options, maps=True))])

    def forward(self, code: Tensor, switches: list[Tensor]) -> Tensor:  # noqa: ARG002 - one interface for all
        """``(B, Z)`` → ``(B, C, H, W)``."""
        maps: Tensor = self.start(code).unflatten(1, self.smallest)
        pixels: Tensor = self.stages(maps)
        return pixels


class _Grow(nn.Module):
    """One stage of the decoder: grow, convolve, activate."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        small: tuple[int, int],
        large: tuple[int, int],
        options: AutoencoderOptions,
    ) -> None:
        super().__init__()
        kernel, padding = options.kernel, options.kernel // 2
        self.unpool = Unpool(large) if options.upsample == "unpool" else None
        self.grow: nn.Module = Nearest(large) if options.upsample == "nearest" else nn.Identity()
        if options.upsample == "transposed":
            self.convolve: nn.Module = nn.ConvTranspose2d(
                inputs, outputs, kernel, stride=2, padding=padding, output_padding=missing(small, large)
            )
        else:
            self.convolve = nn.Conv2d(inputs, outputs, kernel, padding=padding)
        self.after = nn.Sequential(*after(outputs, options, maps=True))

    def forward(self, maps: Tensor, switches: Tensor | None) -> Tensor:
        """``(B, C, h, w)`` → ``(B, C', H, W)``."""
        if self.unpool is not None and switches is not None:
            maps = self.unpool(maps, switches)
        grown: Tensor = self.after(self.convolve(self.grow(maps)))
        return grown
