"""Colours, image by image; pixels stay in [0, 1]. Formulas are those of PIL's ImageEnhance and of torchvision."""

from __future__ import annotations

from torch import Tensor

from dlkit.augment import Draws, Scenes


def brightness(scenes: Scenes, _draws: Draws, *, change: Tensor) -> Scenes:
    """Pixels times 1 + ``change`` ``(B,)``."""
    return scenes.with_images((scenes.images * each(1 + change)).clamp_(0, 1))


def contrast(scenes: Scenes, _draws: Draws, *, change: Tensor) -> Scenes:
    """Distances to the image's mean luma times 1 + ``change`` ``(B,)``."""
    images = scenes.images
    mean = luma(images).mean((1, 2, 3), keepdim=True)
    factor = each(1 + change)
    return scenes.with_images((images * factor).add_(mean * (1 - factor)).clamp_(0, 1))


def saturation(scenes: Scenes, _draws: Draws, *, change: Tensor) -> Scenes:
    """Distances to the pixel's luma times 1 + ``change`` ``(B,)``."""
    images, factor = scenes.images, each(1 + change)
    return scenes.with_images((images * factor).add_(luma(images).mul_(1 - factor)).clamp_(0, 1))


def luma(images: Tensor) -> Tensor:
    """Brightness as seen, ``(B, 1, H, W)``: ITU-R BT.601's weights, or the one channel itself."""
    if images.shape[1] != 3:
        return images.mean(1, keepdim=True)
    grey = images[:, :1] * 0.2989
    return grey.add_(images[:, 1:2], alpha=0.587).add_(images[:, 2:], alpha=0.114)


def each(values: Tensor) -> Tensor:
    """One number per image, ``(B,)`` → ``(B, 1, 1, 1)``."""
    return values[:, None, None, None]
