"""The colorizer's figures: how far its colours are from the true ones, beside grey and mean colours."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlkit.baselines import code_metrics
from dlkit.baselines.quality import mean_and_interval, psnr
from dlkit.metrics import Metric, Metrics
from dlkit_builtin.colorize.bins import SoftEncoding, balancing_weights, gamut_bins, smoothed
from dlkit_builtin.colorize.colours import BATCH, Colours, colours_of, is_grey, some
from dlkit_builtin.colorize.lab import lab_to_rgb, rgb_to_lab
from dlkit_builtin.colorize.measures import colourfulness, delta_e_2000, within

if TYPE_CHECKING:
    from dlkit.data import ImageData, Split
    from dlkit.runtime import Runtime
    from dlkit_builtin.colorize.technique import Colorize

IMAGES = 2_000
"""At most so many held-out images are compared, pixel by pixel, for each method."""
TRAIN_IMAGES = 500
"""At most so many training images: enough to see how much better than on held-out ones the model is."""
GRID = 10
"""Of the bins by which rare colours are told, as in the paper, whatever the model's own."""

Method = Callable[[Tensor], Tensor]
"""Pixels ``(B, 3, H, W)`` → the same in other colours."""
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Figures:
    """Of each of N images; float64 ``(N,)``, all but ``rare_weight`` means over the image's pixels.

    Attributes:
        squares: of the errors of a and b.
        errors: squares of the errors of red, green and blue.
        delta_e: CIEDE2000.
        within: see :func:`.measures.within`.
        rare: the same, each pixel times the weight of its true colour.
        rare_weight: those weights.
        colourfulness: of the image.
    """

    squares: Values
    errors: Values
    delta_e: Values
    within: Values
    rare: Values
    rare_weight: Values
    colourfulness: Values


def evaluate(technique: Colorize, data: ImageData, runtime: Runtime) -> Metrics:
    """Colours of held-out and training images, then the code's worth where there are labels."""
    rows: list[Metric] = []
    known = colours_of(data.train, data.spec, GRID, runtime) if len(data.train) else None
    most = {data.held_out.name: (data.held_out, IMAGES)}
    if len(data.train) and data.held_out is not data.train:
        most["train"] = (data.train, TRAIN_IMAGES)
    for split, count in most.values():
        rows += _rows(technique, some(split, count, data.spec, runtime), known, runtime)
    return Metrics((*rows, *code_metrics(technique.encode, data, runtime)))


def baselines(known: Colours | None) -> dict[str, Method]:
    """Name → what gives images their colours without looking at more than one pixel."""
    methods: dict[str, Method] = {"grey image": lambda images: recoloured(images, torch.zeros_like(images[:, :2]))}
    if known is not None:

        def mean(images: Tensor) -> Tensor:
            return recoloured(images, known.mean[:, None, None].expand_as(images[:, :2]))

        def by_lightness(images: Tensor) -> Tensor:
            lightness = rgb_to_lab(images)[:, 0].round().long().clamp(0, 100)
            return recoloured(images, known.by_lightness[:, lightness].movedim(0, 1))

        methods |= {"mean colour": mean, "mean colour of the lightness": by_lightness}
    return methods


def recoloured(images: Tensor, colours: Tensor) -> Tensor:
    """Pixels ``(B, 3, H, W)`` with other a and b, ``(B, 2, H, W)``, and the lightness that they have."""
    return lab_to_rgb(torch.cat([rgb_to_lab(images)[:, :1], colours], 1))


def _rows(technique: Colorize, split: Split, known: Colours | None, runtime: Runtime) -> Iterator[Metric]:
    methods = {"": technique.colorize, **baselines(known), "true colours": lambda images: images}
    found, grey = _compare(methods, split, _rarity(known, runtime), runtime)
    if grey:
        runtime.warn(f"The {split.name} images are grey: there are no true colours to compare with.")
        return
    true = found.pop("true colours")
    note = f"mean over {len(split):,} images"
    for name, label, better, more, measure in _MEASURES[: 3 if split.name == "train" else None]:
        own, interval = measure(found[""])
        others = {other: measure(figures)[0] for other, figures in found.items() if other}
        if name == "colourfulness":
            others |= {"true colours": measure(true)[0]}
        yield Metric(
            name=name, label=label, value=own, split=split.name, better=better, interval=interval, baselines=others,
            unit="dB" if name == "psnr" else "", note=f"{note}{more}",
        )  # fmt: skip


def _rarity(known: Colours | None, runtime: Runtime) -> Tensor:
    """Weights of the bins, ``(Q,)``, by their share of the training images.

    Those of the paper's loss (λ = ½). Its figure takes λ = 0, which few images cannot bear: a colour that occurs in
    none of them would outweigh all others.
    """
    bins = gamut_bins(GRID).to(runtime.device)
    counts = torch.ones(len(bins), device=bins.device) if known is None else known.counts
    return balancing_weights(smoothed(counts, bins, GRID / 2), 0.5)


def _compare(
    methods: Mapping[str, Method], split: Split, rarity: Tensor, runtime: Runtime
) -> tuple[dict[str, Figures], bool]:
    """Figures of each method, and whether the images have no colours to compare with."""
    encoding = SoftEncoding(GRID, runtime.device)
    parts: dict[str, list[Tensor]] = {name: [] for name in methods}
    grey = True
    with runtime.inference():
        for batch in runtime.batches(split, BATCH):
            images, lab = batch.images, rgb_to_lab(batch.images)
            grey = grey and is_grey(images)
            weights = rarity[encoding.nearest(lab[:, 1:].movedim(1, -1).flatten(0, 2))].view_as(lab[:, 0])
            for name, method in methods.items():
                parts[name].append(_figures(method(images).float(), images, lab, weights).cpu())
    return {name: Figures(*torch.cat(each, 1).double().numpy()) for name, each in parts.items()}, grey


def _figures(colorized: Tensor, images: Tensor, lab: Tensor, weights: Tensor) -> Tensor:
    """The fields of :class:`Figures`, ``(7, B)``."""
    found = rgb_to_lab(colorized)
    differences = found[:, 1:] - lab[:, 1:]
    inside = within(differences.norm(dim=1))
    means = [
        differences.square().mean((1, 2, 3)), (colorized - images).square().mean((1, 2, 3)),
        delta_e_2000(found, lab).mean((1, 2)), inside.mean((1, 2)), (weights * inside).mean((1, 2)),
        weights.mean((1, 2)), colourfulness(colorized).round(decimals=3),
    ]  # fmt: skip
    return torch.stack([each.double() for each in means])


Measured = tuple[float, tuple[float, float] | None]


def _mean(values: Values) -> Measured:
    return mean_and_interval(values)


def _root(figures: Figures) -> Measured:
    value, interval = mean_and_interval(figures.squares)
    if interval is None:
        return math.sqrt(value), None
    return math.sqrt(value), (math.sqrt(max(interval[0], 0)), math.sqrt(interval[1]))


def _ratio(figures: Figures) -> Measured:
    """Of two means over images, with the interval of the linearised ratio (Cochran 1977, section 2.11)."""
    weight = figures.rare_weight.mean()
    ratio = float(figures.rare.mean() / weight)
    _, interval = mean_and_interval((figures.rare - ratio * figures.rare_weight) / weight)
    return ratio, None if interval is None else (ratio + interval[0], ratio + interval[1])


_MEASURES: tuple[tuple[str, str, Literal["higher", "lower"], str, Callable[[Figures], Measured]], ...] = (
    ("ab_rmse", "RMSE of a and b", "lower", "", _root),
    ("delta_e", "ΔE (CIEDE2000)", "lower", "", lambda figures: _mean(figures.delta_e)),
    ("psnr", "PSNR", "higher", "", lambda figures: _mean(psnr(torch.from_numpy(figures.errors)).numpy())),
    ("auc", "AuC", "higher", "; area under the share of pixels within 0 to 150 units of ab", lambda f: _mean(f.within)),
    ("auc_balanced", "AuC, rare colours weighted up", "higher", "; as in the loss of colour bins", _ratio),
    ("colourfulness", "colourfulness", "higher", "; beyond that of the true colours it is too much",
     lambda figures: _mean(figures.colourfulness)),
)  # fmt: skip
