"""Generators and discriminators for images of any size from 8 pixels on.

A generator maps noise ``(B, Z)`` to images in [−1, 1], ``(B, C, H, W)``; a discriminator maps such images to features
``(B, D)`` and an output ``(B,)`` before any activation. The convolutional ones work at sizes that double from about 4
pixels to the image's; an odd size is half of the next even one, and the surplus row or column is cut off.
"""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from dlkit_builtin.gan.heads import head
from dlkit_builtin.gan.options import Condition

Shape = tuple[int, int, int]
Sizes = list[tuple[int, int]]

WIDTHS = {"mlp": 256, "dcgan": 32, "resnet": 64}
MOST_CHANNELS = 512
SHIFT = 0.5
"""Standard deviation of what conditions first add to maps of standard deviation 1."""
SMALLEST = 8
"""Sizes are halved as long as the shorter side is at least this."""


def sizes_of(height: int, width: int) -> Sizes:
    """From the image's size downwards, each half of the one before, rounded up."""
    sizes = [(height, width)]
    while min(sizes[-1]) >= SMALLEST:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes


def channels_of(width: int, count: int) -> list[int]:
    """Channels at each size, from the image's downwards."""
    return [min(width * 2**level, max(MOST_CHANNELS, width)) for level in range(count)]


class ToldNorm(nn.Module):
    """Batch norm whose scale and shift depend on a condition (Dumoulin et al. 2017, equation 5).

    Miyato and Koyama 2018, section 6, tell their generators so whatever their discriminators do. What comes in has the
    noise's variance whatever the condition is; noise that stands beside a condition comes to be ignored. Shifts begin
    large enough to be heard by the next layer: from zero, a generator was long in finding out what it was told.
    """

    def __init__(self, normal: nn.BatchNorm1d | nn.BatchNorm2d, size: int) -> None:
        super().__init__()
        self.normal = normal
        self.scale, self.shift = (nn.Linear(size, normal.num_features, bias=False) for _ in range(2))
        nn.init.zeros_(self.scale.weight)
        nn.init.normal_(self.shift.weight, std=SHIFT / math.sqrt(size))

    def forward(self, maps: Tensor, given: Tensor) -> Tensor:
        """``(B, C, …)`` and ``(B, K)`` → ``(B, C, …)``."""
        normal: Tensor = self.normal(maps)
        shape = (*normal.shape[:2], *[1] * (normal.ndim - 2))
        told: Tensor = normal * (1 + self.scale(given).view(shape)) + self.shift(given).view(shape)
        return told


def norm(channels: int, size: int, kind: type[nn.BatchNorm1d | nn.BatchNorm2d] = nn.BatchNorm2d) -> nn.Module:
    """Batch norm, told a condition of ``size`` numbers unless that is 0."""
    return ToldNorm(kind(channels), size) if size else kind(channels)


class Layers(nn.Sequential):
    """One after the other; those that take a condition are told it."""

    def forward(self, inputs: Tensor, given: Tensor | None = None) -> Tensor:
        """``(B, Z)``, and conditions ``(B, K)`` where there are some → images in [−1, 1]."""
        for layer in self:
            inputs = layer(inputs, given) if isinstance(layer, ToldNorm | UpBlock) else layer(inputs)
        return inputs


class MlpGenerator(Layers):
    """Three hidden layers with batch norm."""

    def __init__(self, latent: int, shape: Shape, width: int, size: int) -> None:
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise((latent, width, 2 * width, 4 * width)):
            layers += [nn.Linear(inputs, outputs, bias=False), norm(outputs, size, nn.BatchNorm1d), nn.LeakyReLU(0.2)]
        super().__init__(*layers, nn.Linear(4 * width, math.prod(shape)), nn.Tanh(), nn.Unflatten(1, shape))


class MlpBody(nn.Sequential):
    """Two hidden layers → features ``(B, width)``."""

    def __init__(self, shape: Shape, width: int) -> None:
        super().__init__(
            nn.Flatten(), nn.Linear(math.prod(shape), 2 * width), nn.LeakyReLU(0.2), nn.Linear(2 * width, width),
            nn.LeakyReLU(0.2),
        )  # fmt: skip
        self.width = width


class Grow(nn.Module):
    """Transposed convolution to twice the size, cut to ``size``."""

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int], *, bias: bool) -> None:
        super().__init__()
        self.convolve = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=bias)
        self.size = size

    def forward(self, maps: Tensor) -> Tensor:
        """``(B, C, h, w)`` → ``(B, C', H, W)``."""
        grown: Tensor = self.convolve(maps)
        return grown[:, :, : self.size[0], : self.size[1]]


class DcganGenerator(Layers):
    """Radford et al. 2016, figure 1: transposed convolutions with batch norm and ReLU."""

    def __init__(self, latent: int, shape: Shape, width: int, size: int) -> None:
        sizes = sizes_of(*shape[1:])
        channels = channels_of(width, len(sizes))
        top = (channels[-1], *sizes[-1])
        layers: list[nn.Module] = [
            nn.Linear(latent, math.prod(top), bias=False), nn.Unflatten(1, top), norm(top[0], size), nn.ReLU(),
        ]  # fmt: skip
        for (inputs, outputs), sides in zip(pairwise(channels[::-1]), sizes[-2::-1], strict=True):
            layers += [Grow(inputs, outputs, sides, bias=False), norm(outputs, size), nn.ReLU()]
        super().__init__(*layers, nn.Conv2d(channels[0], shape[0], 3, padding=1), nn.Tanh())


class DcganBody(nn.Sequential):
    """Strided convolutions with LeakyReLU → features ``(B, D)``.

    Without batch norm: penalties on the gradient of each image need images that do not depend on each other (Gulrajani
    et al. 2017, section 4), and so do micro-batches.
    """

    def __init__(self, shape: Shape, width: int) -> None:
        sizes = sizes_of(*shape[1:])
        channels = channels_of(width, len(sizes))
        layers: list[nn.Module] = [nn.Conv2d(shape[0], channels[0], 3, padding=1), nn.LeakyReLU(0.2)]
        for (inputs, outputs), (height, wide) in zip(pairwise(channels), sizes, strict=False):
            layers += [
                nn.ZeroPad2d((0, wide % 2, 0, height % 2)),
                nn.Conv2d(inputs, outputs, 4, stride=2, padding=1),
                nn.LeakyReLU(0.2),
            ]
        super().__init__(*layers, nn.Flatten())
        self.width = channels[-1] * math.prod(sizes[-1])


class UpBlock(nn.Module):
    """Batch norm, ReLU, nearest neighbour to ``sides``, convolution, twice but the growth; added to its input."""

    def __init__(self, inputs: int, outputs: int, sides: tuple[int, int], size: int) -> None:
        super().__init__()
        self.sides = sides
        self.first, self.second = norm(inputs, size), norm(outputs, size)
        self.convolve = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.again = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, maps: Tensor, given: Tensor | None = None) -> Tensor:
        """``(B, C, h, w)`` → ``(B, C', H, W)``."""
        told = () if given is None else (given,)
        inner = self.convolve(F.interpolate(F.relu(self.first(maps, *told)), self.sides))
        inner = self.again(F.relu(self.second(inner, *told)))
        added: Tensor = inner + F.interpolate(self.shortcut(maps), self.sides)
        return added


class DownBlock(nn.Module):
    """ReLU (but before the first), convolution, ReLU, convolution, mean over 2 × 2; added to its input."""

    def __init__(self, inputs: int, outputs: int, *, first: bool) -> None:
        super().__init__()
        self.first = first
        self.convolve = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.again = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """``(B, C, H, W)`` → ``(B, C', ⌈H/2⌉, ⌈W/2⌉)``."""
        inner = self.again(F.relu(self.convolve(maps if self.first else F.relu(maps))))
        added: Tensor = F.avg_pool2d(inner + self.shortcut(maps), 2, ceil_mode=True)
        return added


class ResnetGenerator(Layers):
    """Miyato et al. 2018, table 4, for any size."""

    def __init__(self, latent: int, shape: Shape, width: int, size: int) -> None:
        sizes = sizes_of(*shape[1:])
        channels = channels_of(width, len(sizes))
        top = (channels[-1], *sizes[-1])
        blocks = [
            UpBlock(inputs, outputs, sides, size)
            for (inputs, outputs), sides in zip(pairwise(channels[::-1]), sizes[-2::-1], strict=True)
        ]
        super().__init__(
            nn.Linear(latent, math.prod(top)), nn.Unflatten(1, top), *blocks, norm(channels[0], size), nn.ReLU(),
            nn.Conv2d(channels[0], shape[0], 3, padding=1), nn.Tanh(),
        )  # fmt: skip


class ResnetBody(nn.Module):
    """Residual blocks, then the sum over places → features ``(B, D)``; Miyato et al. 2018, table 4."""

    def __init__(self, shape: Shape, width: int) -> None:
        super().__init__()
        channels = channels_of(width, len(sizes_of(*shape[1:])))
        through = enumerate(pairwise((shape[0], *channels[1:])))
        self.blocks = nn.Sequential(*(DownBlock(*pair, first=level == 0) for level, pair in through))
        self.width = channels[-1]

    def forward(self, images: Tensor) -> Tensor:
        """``(B, C, H, W)`` → ``(B, D)``."""
        features: Tensor = F.relu(self.blocks(images)).sum((2, 3))
        return features


class Discriminator(nn.Module):
    """A body, and on its features an output: a linear layer, or a head that also hears a condition (:mod:`.heads`)."""

    def __init__(self, body: MlpBody | DcganBody | ResnetBody, output: nn.Module) -> None:
        super().__init__()
        self.body, self.output = body, output

    def forward(self, images: Tensor, given: Tensor | None = None) -> Tensor:
        """Images in [−1, 1] ``(B, C, H, W)``, and their conditions ``(B, K)`` where it hears some → ``(B,)``."""
        return self.judge(self.body(images), given)

    def judge(self, features: Tensor, given: Tensor | None = None) -> Tensor:
        """The same from the body's features ``(B, D)``."""
        outputs: Tensor = self.output(features) if given is None else self.output(features, given)
        return outputs.squeeze(1)


_GENERATORS: dict[str, type[MlpGenerator | DcganGenerator | ResnetGenerator]] = {
    "mlp": MlpGenerator,
    "dcgan": DcganGenerator,
    "resnet": ResnetGenerator,
}
_BODIES: dict[str, type[MlpBody | DcganBody | ResnetBody]] = {"mlp": MlpBody, "dcgan": DcganBody, "resnet": ResnetBody}


def build(
    net: str,
    shape: Shape,
    latent: int,
    width: int | None,
    *,
    spectral: bool,
    condition: Condition | None = None,
    size: int = 0,
) -> tuple[nn.Module, Discriminator]:
    """Generator and discriminator.

    Args:
        net: a key of :data:`WIDTHS`.
        shape: of images, (C, H, W).
        latent: Z.
        width: or None: the net's own.
        spectral: normalise the discriminator's weights.
        condition: how the discriminator hears conditions, which both then take, or None.
        size: K of these.
    """  # fmt: skip
    width = width or WIDTHS[net]
    body = _BODIES[net](shape, width)
    discriminator = Discriminator(body, head(condition, body.width, size))
    generator = _GENERATORS[net](latent, shape, width, 0 if condition is None else size)
    if net == "dcgan":
        _initialise(generator)
    if spectral:
        for layer in list(discriminator.modules()):
            if isinstance(layer, nn.Conv2d | nn.Linear):
                spectral_norm(layer)
    return generator, discriminator


def _initialise(generator: nn.Module) -> None:
    """N(0, 0.02²), Radford et al. 2016, section 4.1; scales of batch norm N(1, 0.02²) as in the authors' code.

    Not the discriminator's, which has no batch norm to make up for such small weights.
    """
    told = [part for layer in generator.modules() if isinstance(layer, ToldNorm) for part in (layer.scale, layer.shift)]
    for layer in generator.modules():
        if layer in told:
            continue
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
