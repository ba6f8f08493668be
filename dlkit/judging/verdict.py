"""Generated images beside genuine ones: how far their features lie from these, and how far simpler things do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Generator, Tensor

from dlkit.judging.distances import (
    Values,
    frechet,
    gaussian_discrepancy,
    kernel_distance,
    median_distance,
    nearest,
    overlap,
)
from dlkit.judging.features import Features, features
from dlkit.judging.options import JudgeOptions
from dlkit.metrics import Metric, Metrics

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.runtime import Runtime

CHUNK = 250
_COMPONENTS = 256
"""Of the PCA whose Gaussian is the baseline, at most."""
_COPIED = 0.01
"""A generated image that is nearer to a training image than this share of held-out images, or the nearest of fewer of
them, is to theirs is a copy."""
_FEWEST = 10
"""Held-out images that tell copies from likeness; images of each that are compared at all."""
_FEW = 100
"""Images of each of which figures say little: docs/techniques/gan.md, "With few images"."""

FLOOR, GAUSSIAN, NOISE = "other genuine images", "Gaussian in PCA space", "noise"

Generate = Callable[..., Tensor]


@dataclass(frozen=True)
class Judged:
    """Images of one kind, with their features, all of the same number.

    Attributes:
        images: ``(n, C, H, W)`` on the CPU.
        features: float64 ``(n, D)``.
    """

    images: Tensor
    features: Values


def judge(generate: Generate, data: ImageData, runtime: Runtime, options: JudgeOptions) -> Metrics:
    """FID, KID, precision, recall, density, coverage, MMD of pixels, and how many images are copies.

    Half of ``options.judged`` training images, or as many as there are in one half of them, are what everything is
    compared with; the other half is the floor: what genuine images themselves score. All sets are of the same size,
    since FID depends on it.

    Args:
        generate: ``generate(count, generator) → pixels (count, C, H, W)``.
        data: training images are what is compared with; held-out ones tell copies from likeness.
        runtime: where.
        options: how many, and by which features.
    """
    split = data.train if len(data.train) else data.held_out
    count = min(options.judged, len(split) // 2)
    if count < _FEWEST:
        said = f"{len(split)} images in {split.name} are too few: it takes {2 * _FEWEST}, one half beside the other."
        return Metrics((), notices=(f"Generated images are not compared with genuine ones. {said}",))
    found = features(options, data, runtime)
    order = torch.randperm(len(split), generator=runtime.generator("judged", device="cpu"))[: 2 * count]
    genuine = _judged(split.pixels(order[:count]), found, runtime)
    others = {
        FLOOR: split.pixels(order[count:]),
        GAUSSIAN: gaussian(split.pixels(order), count, runtime.generator("gaussian", device="cpu")),
        NOISE: torch.rand(count, *data.spec.shape, generator=runtime.generator("noise", device="cpu")),
    }
    ours = _judged(generated(generate, count, runtime), found, runtime)
    beside = {name: _judged(images, found, runtime) for name, images in others.items()}
    note = f"{count:,} images of each; {found.name} ({found.digest}), {found.resizer}, {runtime.precision}"
    return Metrics(
        (*_rows(genuine, ours, beside, split.name, note), _pixels(genuine, ours, beside, split.name),
         *_copies(ours.images, data, runtime)),
        notices=_doubts(count),
    )  # fmt: skip


def _doubts(count: int) -> tuple[str, ...]:
    if count >= _FEW:
        return ()
    return (
        f"FID and the other distances are of {count} images of each. Of fewer than {_FEW} they hardly tell good "
        "images from bad ones; look at the images.",
    )


def generated(generate: Generate, count: int, runtime: Runtime, name: str = "judged images") -> Tensor:
    """``count`` images on the CPU; always the same ones for a seed."""
    generator: Generator = runtime.generator(name)
    with runtime.inference():
        parts = [generate(min(CHUNK, count - start), generator).float().cpu() for start in range(0, count, CHUNK)]
    return torch.cat(parts).clamp(0, 1)


def gaussian(images: Tensor, count: int, generator: Generator) -> Tensor:
    """Images drawn from the Gaussian that has the mean and covariance of ``images`` ``(N, C, H, W)``, in the space of
    their principal components; clipped to [0, 1]."""
    size = min(_COMPONENTS, len(images) - 1, images[0].numel())
    pca: Any = PCA(size, random_state=0, svd_solver="randomized").fit(images.flatten(1).numpy())
    draws = torch.randn(count, size, generator=generator).numpy() * np.sqrt(pca.explained_variance_)
    drawn = torch.from_numpy(np.asarray(pca.inverse_transform(draws), dtype=np.float32))
    return drawn.view(count, *images.shape[1:]).clamp(0, 1)


def _judged(images: Tensor, found: Features, runtime: Runtime) -> Judged:
    with runtime.inference():
        parts = [found.of(part.to(runtime.device)).float().cpu() for part in torch.split(images, CHUNK)]
    return Judged(images, torch.cat(parts).double().numpy())


def _rows(
    genuine: Judged, ours: Judged, beside: Mapping[str, Judged], split: str, note: str
) -> tuple[Metric, ...]:  # fmt: skip
    def row(name: str, label: str, better: Any, measure: Callable[[Values, Values], float], note: str = "") -> Metric:
        return Metric(
            name=name, label=label, value=measure(genuine.features, ours.features), split=split, better=better,
            baselines={other: measure(genuine.features, them.features) for other, them in beside.items()}, note=note,
            bounds=(FLOOR,),
        )  # fmt: skip

    overlaps = {name: overlap(genuine.features, them.features) for name, them in {"": ours, **beside}.items()}

    def part(name: str) -> Metric:
        return Metric(
            name=name, label=name, value=getattr(overlaps[""], name), split=split, better="higher",
            baselines={other: getattr(overlaps[other], name) for other in beside}, note=note, bounds=(FLOOR,),
        )  # fmt: skip

    return (
        row("fid", "FID", "lower", frechet, note),
        row("kid", "KID", "lower", kernel_distance, note),
        *(part(name) for name in ("precision", "recall", "density", "coverage")),
    )


def _pixels(genuine: Judged, ours: Judged, beside: Mapping[str, Judged], split: str) -> Metric:
    """MMD² of the images themselves, which needs no network."""

    def flat(judged: Judged) -> Values:
        return np.asarray(judged.images.flatten(1).double().numpy())

    width = median_distance(flat(genuine))

    def measure(them: Judged) -> float:
        return gaussian_discrepancy(flat(genuine), flat(them), width)

    return Metric(
        name="mmd", label="MMD² of pixels", value=measure(ours), split=split, better="lower",
        baselines={other: measure(them) for other, them in beside.items()}, bounds=(FLOOR,),
        note=f"{len(genuine.images):,} images of each, Gaussian kernel of width {width:.3g}, unbiased, float64",
    )  # fmt: skip


def _copies(images: Tensor, data: ImageData, runtime: Runtime) -> tuple[Metric, ...]:
    """How many images are copies of training images, beside held-out images, of which 1 %, or one, are."""
    if data.held_out is data.train or len(data.train) == 0 or len(data.held_out) < _FEWEST:
        return ()
    train = _some(data.train, 10_000, runtime)
    _, usual = nearest(_some(data.held_out, 1_000, runtime), train)
    _, ours = nearest(images.flatten(1).double().numpy(), train)
    share = max(_COPIED, 1 / len(usual))
    threshold = float(np.quantile(usual, share, method="inverted_cdf"))
    return (
        Metric(
            name="copies", label="copies of training images", value=float((ours <= threshold).mean()), split="train",
            better="lower", baselines={"held-out images": share},
            note=f"nearer in pixels than {share:.0%} of held-out images are to theirs",
        ),
    )  # fmt: skip


def _some(split: Any, most: int, runtime: Runtime) -> Values:
    chosen = torch.randperm(len(split), generator=runtime.generator("copies", split.name, device="cpu"))[:most]
    return np.asarray(split.pixels(chosen).flatten(1).double().numpy())
