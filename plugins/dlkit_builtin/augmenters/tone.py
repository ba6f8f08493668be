"""Tones: curves that are laid over all pixels; those that count do so on 8-bit levels, as PIL's ImageOps."""

from __future__ import annotations

import torch
from torch import Tensor

from dlkit.augment import Draws, Scenes
from dlkit_builtin.augmenters.colour import each


def sharpness(scenes: Scenes, _draws: Draws, *, change: Tensor) -> Scenes:
    """Distances to the smoothed image times 1 + ``change`` ``(B,)``; the outermost pixels stay, as in PIL."""
    images = scenes.images
    if min(scenes.size) < 3:
        return scenes
    rows = images[..., :-2, :] + images[..., 1:-1, :]
    rows += images[..., 2:, :]
    smooth = rows[..., :-2] + rows[..., 1:-1]  # PIL's SMOOTH: ones around a five, by 13
    smooth.add_(rows[..., 2:]).add_(images[..., 1:-1, 1:-1], alpha=4).mul_(each(-change / 13))
    sharper = images.clone()
    inner = sharper[..., 1:-1, 1:-1]
    inner.mul_(each(1 + change)).add_(smooth).clamp_(0, 1)
    return scenes.with_images(sharper)


def posterize(scenes: Scenes, _draws: Draws, *, bits: Tensor) -> Scenes:
    """The highest ``bits`` ``(B,)`` of each 8-bit level."""
    steps = each(2 ** (8 - bits))
    levels = (scenes.images * 255).round_().div_(steps).floor_().mul_(steps / 255)
    return scenes.with_images(levels)


def solarize(scenes: Scenes, _draws: Draws, *, threshold: Tensor) -> Scenes:
    """Pixels from ``threshold`` ``(B,)`` on become negative."""
    images = scenes.images
    light = torch.ge(images, each(threshold), out=torch.empty_like(images))
    return scenes.with_images(light.sub_(images).abs_())  # |1 − x| or |0 − x|; torch.where takes several times as long


def invert(scenes: Scenes, _draws: Draws) -> Scenes:
    """The negative."""
    return scenes.with_images(1 - scenes.images)


def auto_contrast(scenes: Scenes, _draws: Draws) -> Scenes:
    """Each channel's darkest pixel becomes 0 and its lightest 1; a channel of one colour stays."""
    images = scenes.images
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    flat = high == low
    low = low.masked_fill(flat, 0)
    return scenes.with_images((images - low).div_((high - low).masked_fill_(flat, 1)).clamp_(0, 1))


def equalize(scenes: Scenes, _draws: Draws) -> Scenes:
    """Each channel's 8-bit levels as often as each other, as far as they can be (PIL's ImageOps.equalize)."""
    rounded = (scenes.images * 255).round_()
    levels = rounded.int().flatten(2)
    counts = _counted(levels)
    places = torch.arange(256, device=counts.device)
    last = torch.where(counts > 0, places, 0).amax(2, keepdim=True)
    step = (levels.shape[2] - counts.gather(2, last)) // 255
    before = counts.cumsum(2) - counts  # pixels that are darker
    curves = torch.where(step > 0, ((before + step // 2) // step.clamp_min(1)).clamp_(0, 255), places)
    return scenes.with_images(_looked_up(curves / 255, levels, rounded))


def tone_clip(scenes: Scenes, draws: Draws, *, share: Tensor) -> Scenes:
    """Tones are stretched until up to ``share`` ``(B,)`` of the range is lost at each end, drawn for each."""
    ends = draws.uniform("ends", 2) * share[:, None]
    low, kept = each(ends[:, 0]), each(1 - ends.sum(1))
    return scenes.with_images((scenes.images - low).div_(kept).clamp_(0, 1))


def _counted(levels: Tensor) -> Tensor:
    """How often each of 256 levels is in int32 ``(B, C, N)``: int64 ``(B, C, 256)``."""
    if levels.device.type == "cpu":  # several times as fast there; elsewhere it would wait for the device
        counts = [torch.bincount(channel, minlength=256) for channel in levels.flatten(0, 1)]
        return torch.stack(counts).reshape(*levels.shape[:2], 256)
    zeros = torch.zeros(*levels.shape[:2], 256, dtype=torch.int64, device=levels.device)
    return zeros.scatter_add_(2, levels.long(), zeros.new_ones(1).expand(levels.shape))


def _looked_up(curves: Tensor, levels: Tensor, out: Tensor) -> Tensor:
    """The values of curves ``(B, C, 256)`` at int32 levels ``(B, C, N)``; the memory of ``out`` may be used."""
    if levels.device.type != "cpu":
        return curves.gather(2, levels.long()).view_as(out)
    channels = zip(curves.flatten(0, 1), levels.flatten(0, 1), out.flatten(2).flatten(0, 1), strict=True)
    for curve, channel, found in channels:
        torch.index_select(curve, 0, channel, out=found)
    return out
