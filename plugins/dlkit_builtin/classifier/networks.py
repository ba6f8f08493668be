"""From pixels to features: fully connected layers, convolutions and pooling, residual stages.

Each is a sequence of named stages, ``(B, C, H, W)`` → … → ``(B, D)``; the first ones give maps ``(B, C', H', W')``.
"""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from dlkit.errors import UsageError
from dlkit.layers import ACTIVATIONS, after
from dlkit_builtin.classifier.options import ClassifierOptions

Shape = tuple[int, int, int]

MLP_LAYERS = (256, 128)
LENET_LAYERS, LENET_DENSE = (6, 16), (120, 84)
RESNET_LAYERS = (16, 32, 64)
CNN_DENSE = (128,)
_POOLS: dict[str, type[nn.Module]] = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}
_RESNET_SIDE = 64
"""A resnet's stages see images of at most this side; larger ones are scaled down by its stem."""


def build(options: ClassifierOptions, shape: Shape) -> tuple[nn.Sequential, int]:
    """The network up to its features, and D, for images of ``shape`` (C, H, W).

    Raises:
        UsageError: images that are too small for so many layers, or settings for another number of layers.
    """
    if options.net == "mlp":
        return _mlp(options, math.prod(shape))
    return _resnet(options, shape) if options.net == "resnet" else _convolutional(options, shape)


def _mlp(options: ClassifierOptions, inputs: int) -> tuple[nn.Sequential, int]:
    widths = (inputs, *(options.layers or MLP_LAYERS))
    network = nn.Sequential()
    network.add_module("pixels", nn.Flatten())
    _add_dense(network, widths, options)
    return network, widths[-1]


def _add_dense(network: nn.Sequential, widths: tuple[int, ...], options: ClassifierOptions) -> None:
    for number, (before, here) in enumerate(pairwise(widths), start=1):
        network.add_module(f"dense-{number}", nn.Sequential(nn.Linear(before, here), *after(here, options, maps=False)))


def _convolutional(options: ClassifierOptions, shape: Shape) -> tuple[nn.Sequential, int]:
    """Convolution, batch norm, activation, dropout, pooling, again and again; then fully connected layers."""
    lenet = options.net == "lenet"
    channels = options.layers or (LENET_LAYERS if lenet else _default_channels(shape))
    kernels = _each(options.kernels or ((5,) if lenet else (3,)), len(channels), "--kernels")
    strides = _each(options.strides, len(channels), "--strides")
    halves = tuple(kernel // 2 for kernel in kernels)
    given = options.padding or ((2, *[0] * (len(channels) - 1)) if lenet else halves)
    padding = _each(given, len(channels), "--padding")
    network, (inputs, height, width) = nn.Sequential(), shape
    for number, (here, kernel, stride, zeros) in enumerate(
        zip(channels, kernels, strides, padding, strict=True), start=1
    ):
        stage = [nn.Conv2d(inputs, here, kernel, stride, zeros), *after(here, options, maps=True)]
        height, width = ((side + 2 * zeros - kernel) // stride + 1 for side in (height, width))
        if options.pool != "none":
            stage.append(_POOLS[options.pool](2))
            height, width = height // 2, width // 2
        if min(height, width) < 1:
            raise _too_small(options, shape, number)
        network.add_module(f"conv-{number}", nn.Sequential(*stage))
        inputs = here
    network.add_module("flat", nn.Flatten())
    widths = (inputs * height * width, *(options.dense or (LENET_DENSE if lenet else CNN_DENSE)))
    _add_dense(network, widths, options)
    return network, widths[-1]


def _default_channels(shape: Shape) -> tuple[int, ...]:
    """32, 64, 128, 256, 256: a layer for each halving down to about 4 pixels."""
    halvings = max(1, int(math.log2(max(min(shape[1:]), 8) / 4)))
    return tuple(min(32 << layer, 256) for layer in range(min(halvings, 5)))


def _each(values: tuple[int, ...], count: int, flag: str) -> tuple[int, ...]:
    if len(values) not in (1, count):
        raise UsageError(f"{flag} has {len(values)} values for {count} convolutions; expected 1 or {count}.")
    return values * count if len(values) == 1 else values


def _too_small(options: ClassifierOptions, shape: Shape, number: int) -> UsageError:
    return UsageError(
        f"Images of {shape[1]}x{shape[2]} are too small for --net {options.net}: nothing is left of them after "
        f"convolution {number}.",
        "Use larger images (--image-size 28), fewer --layers, --pool none or more --padding.",
    )


def _resnet(options: ClassifierOptions, shape: Shape) -> tuple[nn.Sequential, int]:
    """A 3 × 3 convolution, stages of n residual blocks, the mean over each map.

    Images larger than 64 pixels are scaled down first, by a stride and max-pooling, as in section 3.3's stem.
    """
    channels = options.layers or RESNET_LAYERS
    halvings = max(0, math.ceil(math.log2(max(shape[1:]) / _RESNET_SIDE)))
    stem: list[nn.Module] = [nn.Conv2d(shape[0], channels[0], 3, stride=2 if halvings else 1, padding=1, bias=False)]
    stem += [nn.BatchNorm2d(channels[0]), ACTIVATIONS[options.activation]()]
    stem += [nn.MaxPool2d(3, 2, 1) for _ in range(halvings - 1)]
    network = nn.Sequential()
    network.add_module("stem", nn.Sequential(*stem))
    for number, (before, here) in enumerate(pairwise((channels[0], *channels)), start=1):
        first = Residual(before, here, 1 if number == 1 else 2, options)
        rest = [Residual(here, here, 1, options) for _ in range(options.blocks - 1)]
        network.add_module(f"stage-{number}", nn.Sequential(first, *rest))
    network.add_module("mean", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(options.dropout)))
    return network, channels[-1]


class Residual(nn.Module):
    """``a(x + F(x))``, F: two 3 × 3 convolutions with batch norm (He et al. 2016, equation 1).

    Where the stage changes size, the shortcut takes every second pixel and zeros for the new maps: option A of
    section 3.3, which has no parameters and is what section 4.2 uses.
    """

    def __init__(self, before: int, here: int, stride: int, options: ClassifierOptions) -> None:
        super().__init__()
        self.stride, self.more = stride, here - before
        self.path = nn.Sequential(
            nn.Conv2d(before, here, 3, stride, 1, bias=False),
            nn.BatchNorm2d(here),
            ACTIVATIONS[options.activation](),
            nn.Conv2d(here, here, 3, 1, 1, bias=False),
            nn.BatchNorm2d(here),
        )
        self.activate = ACTIVATIONS[options.activation]()

    def forward(self, maps: Tensor) -> Tensor:
        """``(B, C, H, W)`` → ``(B, C', ⌈H/s⌉, ⌈W/s⌉)``."""
        shortcut = maps[:, :, :: self.stride, :: self.stride]
        if self.more > 0:
            shortcut = F.pad(shortcut, (0, 0, 0, 0, 0, self.more))
        elif self.more < 0:
            shortcut = shortcut[:, : self.more]
        activated: Tensor = self.activate(shortcut + self.path(maps))
        return activated
