"""What colours a data set has: what rare colours are rare among, and what a model is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dlkit.baselines import affordable
from dlkit_builtin.colorize.bins import SoftEncoding
from dlkit_builtin.colorize.lab import rgb_to_lab

if TYPE_CHECKING:
    from dlkit.data import Split
    from dlkit.data.spec import DataSpec
    from dlkit.runtime import Runtime

IMAGES = 5_000
"""At most so many images are looked at."""
BATCH = 20
"""So many at once: colours are compared in float64, in many steps."""


@dataclass(frozen=True)
class Colours:
    """Of some images' pixels; on the runtime's device.

    Attributes:
        mean: a and b, ``(2,)``.
        by_lightness: the mean a and b of pixels whose L is about 0, 1, … 100, ``(2, 101)``; of a lightness that does
            not occur, the mean.
        counts: pixels in each bin, float64 ``(Q,)``.
        grey: no pixel has any colour.
    """

    mean: Tensor
    by_lightness: Tensor
    counts: Tensor
    grey: bool


def colours_of(split: Split, spec: DataSpec, grid: int, runtime: Runtime) -> Colours:
    """The colours of at most 5,000 of a split's images (fewer where they are large), always the same ones.

    Args:
        split: at least one image.
        spec: of its images.
        grid: side of the bins in which pixels are counted.
        runtime: where that happens.
    """
    encoding = SoftEncoding(grid, runtime.device)
    counts = torch.zeros(len(encoding.bins), dtype=torch.float64, device=runtime.device)
    sums = torch.zeros(3, 101, dtype=torch.float64, device=runtime.device)  # a, b and how many, by lightness
    grey = True
    with torch.inference_mode():
        for batch in runtime.batches(some(split, IMAGES, spec, runtime), BATCH):
            grey = grey and is_grey(batch.images)
            pixels = rgb_to_lab(batch.images).movedim(1, -1).flatten(0, -2)  # (N, 3)
            counts += encoding.nearest(pixels[:, 1:]).bincount(minlength=len(counts))
            lightness = pixels[:, 0].round().long().clamp(0, 100)
            values = torch.cat([pixels[:, 1:], torch.ones_like(pixels[:, :1])], 1).double()
            sums.index_add_(1, lightness, values.t())
    mean = sums[:2].sum(1) / sums[2].sum()
    by_lightness = torch.where(sums[2] > 0, sums[:2] / sums[2].clamp(min=1), mean.unsqueeze(1))
    return Colours(mean.float(), by_lightness.float(), counts, grey)


def is_grey(images: Tensor) -> bool:
    """Whether the three channels of ``(B, 3, H, W)`` are the same everywhere."""
    return bool((images == images[:, :1]).all())


def some(split: Split, most: int, spec: DataSpec, runtime: Runtime) -> Split:
    """At most ``most`` images of a split, always the same; of large images fewer, which are as many pixels."""
    count = affordable(most, spec.shape)
    if len(split) <= count:
        return split
    generator = runtime.generator("colours", split.name, device="cpu")
    return split.subset(torch.randperm(len(split), generator=generator)[:count].sort().values)
