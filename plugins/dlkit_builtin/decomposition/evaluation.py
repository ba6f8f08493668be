"""Figures: reconstruction beside the mean image and PCA of the same code size, sparsity, the worth of the code."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlkit.baselines import PCABaseline, affordable, code_metrics, quality_metrics
from dlkit.baselines.quality import mean_and_interval
from dlkit.metrics import Metric, Metrics
from dlkit.supervised.bootstrap import intervals

if TYPE_CHECKING:
    from dlkit.data import ImageData, Split
    from dlkit.runtime import Runtime
    from dlkit_builtin.decomposition.technique import Decomposition

IMAGES = 10_000
"""At most so many held-out images are evaluated."""
TRAIN_IMAGES = 2_000
"""At most so many training images."""
PCA_IMAGES = 20_000
"""At most so many training images fit the PCA beside which everything stands."""


@dataclass(frozen=True)
class Sample:
    """Images of one split with what the model makes of them, on the CPU, float32: ``(N, C, H, W)`` and ``(N, K)``."""

    images: Tensor
    reconstructions: Tensor
    codes: Tensor
    labels: Tensor | None


def sample(technique: Decomposition, split: Split, runtime: Runtime, most: int = IMAGES) -> Sample:
    """At most ``most`` images of a split, always the same, through the model."""
    subset = chosen(split, affordable(most, technique.spec.shape), runtime)
    codes = runtime.collect(technique.encode, subset)
    decoded = [technique.decode(part.to(runtime.device)).cpu() for part in torch.split(codes, 500)]
    return Sample(subset.pixels(), torch.cat(decoded), codes, subset.labels)


def chosen(split: Split, most: int, runtime: Runtime) -> Split:
    """At most so many images, always the same."""
    if len(split) <= most:
        return split
    generator = runtime.generator("evaluation sample", split.name, device="cpu")
    return split.subset(torch.randperm(len(split), generator=generator)[:most].sort().values)


def evaluate(technique: Decomposition, data: ImageData, runtime: Runtime) -> Metrics:
    """Held-out and training images, then the code's worth where there are labels."""
    splits = {split.name: split for split in (data.held_out, data.train) if len(split)}
    beside = baselines(technique, data, runtime)
    rows: list[Metric] = []
    for name, split in splits.items():
        some = sample(technique, split, runtime, TRAIN_IMAGES if name == "train" else IMAGES)
        rows += _reconstruction(name, some, beside)
        rows += _sparsity(technique, name, some, beside)
    return Metrics((*rows, *code_metrics(technique.encode, data, runtime)))


@dataclass(frozen=True)
class Baselines:
    """What is simpler, fitted on training images: their mean, and PCA of the same code size.

    Attributes:
        mean: ``(C, H, W)``.
        pca: None where the model is that very PCA.
    """

    mean: Tensor
    pca: PCABaseline | None

    @property
    def name(self) -> str:
        """Of the PCA."""
        return "" if self.pca is None else f"PCA, {self.pca.components} components"

    def restored(self, images: Tensor) -> dict[str, Tensor]:
        """Name → images ``(N, C, H, W)``, clipped to pixels as the model's are."""
        found = {"mean image": self.mean.expand_as(images)}
        return found if self.pca is None else found | {self.name: self.pca.reconstruct(images).clamp(0, 1)}


def baselines(technique: Decomposition, data: ImageData, runtime: Runtime) -> Baselines | None:
    """None where there are no training images."""
    if not len(data.train):
        return None
    some = chosen(data.train, affordable(PCA_IMAGES, technique.spec.shape), runtime)
    images = some.pixels()
    is_pca = technique.options.method == "pca" and not technique.learned["batches"] and len(some) == len(data.train)
    return Baselines(images.mean(0), None if is_pca else PCABaseline(images, technique.code))


def _reconstruction(split: str, some: Sample, beside: Baselines | None) -> Iterator[Metric]:
    others = {} if beside is None else beside.restored(some.images)
    note = f"mean over {len(some.images):,} images"
    yield from quality_metrics(some.reconstructions, some.images, others, split=split, note=note)
    if beside is None:
        return
    around = (some.images - beside.mean).double().square().flatten(1).sum(1).numpy()
    if around.sum() == 0:  # all images alike
        return

    def missed(restored: Tensor) -> NDArray[np.float64]:
        return (some.images - restored).double().square().flatten(1).sum(1).numpy()

    own = missed(some.reconstructions)
    resampled = intervals({"": lambda weights: 1 - (weights @ own) / (weights @ around)}, len(own), seed=0)
    yield Metric(
        name="explained_variance", label="explained variance", value=float(1 - own.sum() / around.sum()), split=split,
        better="higher", interval=resampled[""],
        baselines={name: float(1 - missed(restored).sum() / around.sum()) for name, restored in others.items()},
        note="1 − squared error / squared distance from the mean training image",
    )  # fmt: skip


def _sparsity(technique: Decomposition, split: str, some: Sample, beside: Baselines | None) -> Iterator[Metric]:
    """Of codes that are coefficients; distances to centres are none."""
    if technique.options.method == "kmeans" or some.codes.shape[1] < 2:
        return
    value, interval = mean_and_interval(hoyer(some.codes).numpy())
    others = {"raw pixels": float(hoyer(some.images.flatten(1)).mean())}
    if beside is not None and beside.pca is not None and beside.pca.components > 1:
        others[beside.name] = float(hoyer(torch.from_numpy(beside.pca.encode(some.images))).mean())
    yield Metric(
        name="code_sparsity", label="sparsity of the code", value=value, split=split, better="higher",
        interval=interval, baselines=others, note="0: all values alike; 1: one value that is not 0 (Hoyer 2004)",
    )  # fmt: skip
    if technique.options.method in ("nmf", "sparse"):
        value, interval = mean_and_interval((some.codes == 0).double().mean(1).numpy())
        zeros = {"raw pixels": float((some.images == 0).double().mean())}
        yield Metric(name="code_zeros", label="zeros in the code", value=value, split=split, better="higher",
                     interval=interval, baselines=zeros, note="share of the values")  # fmt: skip


def hoyer(codes: Tensor) -> Tensor:
    """(√K − ‖z‖₁ / ‖z‖₂) / (√K − 1) of each code (Hoyer 2004, section 3.1), ``(N,)`` float64; 1 for a code of zeros."""
    root = math.sqrt(codes.shape[1])
    values = codes.double().abs()
    length = values.square().sum(1).sqrt()
    ratio = torch.where(length > 0, values.sum(1) / length.clamp_min(1e-300), 1.0)
    return (root - ratio) / (root - 1)
