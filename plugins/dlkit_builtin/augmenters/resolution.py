"""Resolution that was lost on the way: few pixels, coarse pixels, compression."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from dlkit.augment import Draws, Scenes


def down_up(scenes: Scenes, _draws: Draws, *, factor: Tensor) -> Scenes:
    """Shrunk ``factor`` ``(B,)`` times, then enlarged; bilinear, without aliasing."""

    def change(images: Tensor, small: tuple[int, int]) -> Tensor:
        few = F.interpolate(images, small, mode="bilinear", antialias=True)
        return F.interpolate(few, scenes.size, mode="bilinear")

    return scenes.with_images(_at_sizes(scenes, factor, change))


def pixelate(scenes: Scenes, _draws: Draws, *, factor: Tensor) -> Scenes:
    """Cells about ``factor`` ``(B,)`` pixels wide and high, each of its mean colour."""

    def change(images: Tensor, small: tuple[int, int]) -> Tensor:
        return F.interpolate(F.interpolate(images, small, mode="area"), scenes.size, mode="nearest-exact")

    return scenes.with_images(_at_sizes(scenes, factor, change))


def jpeg(scenes: Scenes, _draws: Draws, *, quality: Tensor) -> Scenes:
    """Through JPEG at ``quality`` ``(B,)``: libjpeg's on a CPU, the same transform in parallel elsewhere."""
    if scenes.images.device.type == "cpu":
        return scenes.with_images(_coded(scenes.images, quality))
    return scenes.with_images(jpeg_on_device(scenes.images, quality))


def jpeg_on_device(images: Tensor, quality: Tensor) -> Tensor:
    """JPEG's loss without its files; 20 times as slow on a CPU."""
    from kornia.enhance import jpeg_codec_differentiable

    (height, width), colour = images.shape[-2:], images.shape[1] == 3
    padded = F.pad(images, (0, -width % 16, 0, -height % 16), mode="replicate")
    coded: Tensor = jpeg_codec_differentiable(padded if colour else padded.expand(-1, 3, -1, -1), quality)
    return coded[:, : images.shape[1], :height, :width].clamp(0, 1)


def _coded(images: Tensor, quality: Tensor) -> Tensor:
    colour = images.shape[1] == 3
    levels = (images * 255).round_().to(torch.uint8)
    arrays = (levels.permute(0, 2, 3, 1) if colour else levels[:, 0]).contiguous().numpy()
    changed = np.empty_like(arrays)
    for array, own, out in zip(arrays, quality.tolist(), changed, strict=True):
        file = BytesIO()
        Image.fromarray(array).save(file, "JPEG", quality=round(own))
        out[...] = Image.open(file)
    result = torch.from_numpy(changed)
    return (result.permute(0, 3, 1, 2) if colour else result[:, None]).float().div_(255).contiguous()


def _at_sizes(scenes: Scenes, factor: Tensor, change: Callable[[Tensor, tuple[int, int]], Tensor]) -> Tensor:
    """Each image changed at its own smaller size; those of one size together."""
    height, width = scenes.size
    sizes = [(max(1, round(height / by)), max(1, round(width / by))) for by in factor.tolist()]
    result = torch.empty_like(scenes.images)
    for small in set(sizes):
        rows = torch.tensor([row for row, size in enumerate(sizes) if size == small], device=result.device)
        result.index_copy_(0, rows, change(scenes.images.index_select(0, rows), small))
    return result
