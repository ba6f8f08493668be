"""Colours, image by image; pixels stay in [0, 1]. Formulas are those of PIL's ImageEnhance and of torchvision."""

from __future__ import annotations

import torch
from torch import Tensor

from dlkit.augment import Draws, Scenes
from dlkit_builtin.augmenters.geometric import ratio

# Wien's approximation of a black body's light at 600, 550 and 450 nm: exp(−c₂ / (λ T)), c₂ = 0.014388 m K. A shift of
# 1 / T by one mired (10⁻⁶ / K) multiplies by exp of this, green staying as it is.
_PER_MIRED = (2.18e-3, 0.0, -5.81e-3)


def brightness(scenes: Scenes, _draws: Draws, *, change: Tensor) -> Scenes:
    """Pixels times 1 + ``change`` ``(B,)``."""
    return scenes.with_images((scenes.images * each(1 + change)).clamp_(0, 1))


def contrast(scenes: Scenes, _draws: Draws, *, change: Tensor) -> Scenes:
    """Distances to the image's mean luma times 1 + ``change`` ``(B,)``."""
    images, factor = scenes.images, each(1 + change)
    mean = luma(images.mean((2, 3), keepdim=True))
    return scenes.with_images((images * factor).add_(mean * (1 - factor)).clamp_(0, 1))


def saturation(scenes: Scenes, _draws: Draws, *, change: Tensor) -> Scenes:
    """Distances to the pixel's luma times 1 + ``change`` ``(B,)``."""
    images = scenes.images
    return scenes.with_images(luma(images).lerp(images, each(1 + change)).clamp_(0, 1))


def hue(scenes: Scenes, _draws: Draws, *, turn: Tensor) -> Scenes:
    """Turn hues by ``turn`` degrees ``(B,)`` in HSV, value and saturation staying: as torchvision's ``adjust_hue``."""
    red, green, blue = scenes.images.unbind(1)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    by = chroma.clamp_min(1e-12)
    sixths = torch.where(value == green, (blue - red).div_(by).add_(2), (red - green).div_(by).add_(4))
    sixths = torch.where(value == red, (green - blue).div_(by), sixths).add_(turn[:, None, None] / 60)
    images = torch.empty_like(scenes.images)
    for channel, offset in enumerate((5, 3, 1)):  # Smith 1978's formula without cases
        place = torch.remainder(sixths + offset, 6)
        images[:, channel] = value - torch.minimum(place, 4 - place).clamp_(0, 1).mul_(chroma)
    return scenes.with_images(images)


def gamma(scenes: Scenes, _draws: Draws, *, change: Tensor) -> Scenes:
    """Pixels to the power of 1 + ``change`` ``(B,)``, or 1 / (1 − change) where it is negative (lighter)."""
    return scenes.with_images(scenes.images.clamp(0, 1).pow_(each(ratio(change))))


def temperature(scenes: Scenes, _draws: Draws, *, mired: Tensor) -> Scenes:
    """Light of another colour temperature, 10⁶ / T being ``mired`` ``(B,)`` more (warmer); white keeps its luma."""
    gains = (mired[:, None] * mired.new_tensor(_PER_MIRED)).exp()[:, :, None, None]
    return scenes.with_images((scenes.images * (gains / luma(gains))).clamp_(0, 1))


def cast(scenes: Scenes, draws: Draws, *, amount: Tensor) -> Scenes:
    """Each channel times its own factor, 1 − ``amount`` to 1 + ``amount`` ``(B,)``, over their luma: white keeps it."""
    factors = (1 + draws.uniform("channels", 3, low=-1, high=1) * amount[:, None])[:, :, None, None]
    return scenes.with_images((scenes.images * (factors / luma(factors))).clamp_(0, 1))


def grey(scenes: Scenes, _draws: Draws) -> Scenes:
    """Luma in all three channels."""
    return scenes.with_images(luma(scenes.images).expand_as(scenes.images).contiguous())


def luma(images: Tensor) -> Tensor:
    """Brightness as seen, ``(B, 1, H, W)``: ITU-R BT.601's weights, or the one channel itself."""
    if images.shape[1] != 3:
        return images.mean(1, keepdim=True)
    grey = images[:, :1] * 0.2989
    return grey.add_(images[:, 1:2], alpha=0.587).add_(images[:, 2:], alpha=0.114)


def each(values: Tensor) -> Tensor:
    """One number per image, ``(B,)`` → ``(B, 1, 1, 1)``."""
    return values[:, None, None, None]
