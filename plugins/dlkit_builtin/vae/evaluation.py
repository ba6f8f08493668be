"""The VAE's figures: likelihoods beside models without a network, reconstruction beside PCA, the worth of its code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from dlkit.baselines import PCABaseline, code_metrics, knn_accuracy, quality_metrics, wilson_interval
from dlkit.baselines.quality import mean_and_interval
from dlkit.metrics import Metric, Metrics, Row, Table
from dlkit_builtin.vae.bound import ACTIVE, unit_activity
from dlkit_builtin.vae.measuring import Sample, importance_weighted_nll, sample, some
from dlkit_builtin.vae.pixel_models import Pixels, ppca_log_likelihood

if TYPE_CHECKING:
    from dlkit.data import ImageData, Split
    from dlkit.runtime import Runtime
    from dlkit_builtin.vae.technique import Vae

IMAGES = 10_000
"""At most so many held-out images are evaluated: the published test sets' size."""
TRAIN_IMAGES = 2_000
"""At most so many training images: enough to see how much better than on held-out ones the model is."""
FIT_IMAGES = 20_000
"""At most so many training images fit the models that it is compared with."""
KNN_IMAGES = 5_000
"""At most so many of each split for the classes: the neighbours among them are what takes time."""


@dataclass(frozen=True)
class Rivals:
    """What it is compared with, fitted on training images only.

    Attributes:
        images: those, ``(N, C, H, W)``.
        pixels: independent pixels.
        pca: of the same code size.
    """

    images: Tensor
    pixels: Pixels
    pca: PCABaseline


def evaluate(technique: Vae, data: ImageData, runtime: Runtime) -> Metrics:
    """Likelihood of held-out images, then ELBO and reconstruction of both splits, units in use, the code's worth."""
    rivals = _rivals(technique, data.train, runtime) if len(data.train) else None
    splits = {data.held_out: IMAGES, data.train: TRAIN_IMAGES}
    samples = {split.name: sample(technique, some(split, most, runtime), runtime)
               for split, most in splits.items() if len(split)}  # fmt: skip
    rows = list(_likelihood(technique, data.held_out, rivals, runtime))
    for split, each in samples.items():
        rows += _bound(technique, split, each, rivals)
        others = (
            {} if rivals is None else {f"PCA, {rivals.pca.components} components": rivals.pca.reconstruct(each.images)}
        )
        note = f"mean over {len(each.images):,} images"
        rows += quality_metrics(each.reconstructions, each.images, others, split=split, note=note)
    rows += code_metrics(technique.encode, data, runtime)
    if technique.network.classes:
        rows += _accuracy(technique, data, runtime)
    return Metrics(tuple(rows), (_parts(samples),))


def _rivals(technique: Vae, train: Split, runtime: Runtime) -> Rivals:
    subset = some(train, FIT_IMAGES, runtime)
    images = technique.observed(subset.pixels(), torch.Generator().manual_seed(0))
    labels = subset.labels if technique.network.classes else None
    pixels = Pixels(images, labels, gaussian=technique.network.gaussian)
    return Rivals(images, pixels, PCABaseline(images, technique.options.code))


def _likelihood(technique: Vae, split: Split, rivals: Rivals | None, runtime: Runtime) -> Iterator[Metric]:
    found = importance_weighted_nll(technique, some(split, technique.options.nll_images, runtime), runtime)
    value, interval = mean_and_interval(found.nll.double().numpy())
    others: dict[str, Tensor] = {}
    if rivals is not None:
        others["independent pixels"] = rivals.pixels.log_likelihood(found.images, found.classes)
        components = rivals.pca.components
        if technique.network.gaussian and components < min(rivals.images[0].numel(), len(rivals.images)):
            likelihood = ppca_log_likelihood(rivals.images, components, found.images)
            others[f"probabilistic PCA, {components} components"] = likelihood
    yield Metric(
        name="nll",
        label="negative log-likelihood",
        value=value,
        split=split.name,
        unit="nats",
        better="lower",
        interval=interval,
        baselines={name: -float(likelihood.double().mean()) for name, likelihood in others.items()},
        note=f"{len(found.nll):,} images, {technique.options.nll_samples:,} importance samples each{_told(technique)}",
    )


def _bound(technique: Vae, split: str, shown: Sample, rivals: Rivals | None) -> Iterator[Metric]:
    value, interval = mean_and_interval(shown.elbo.double().numpy())
    independent = {}
    if rivals is not None:
        likelihood = rivals.pixels.log_likelihood(shown.images, shown.classes)
        independent["independent pixels"] = float(likelihood.double().mean())
    yield Metric(
        name="elbo",
        label="ELBO",
        value=value,
        split=split,
        unit="nats",
        better="higher",
        interval=interval,
        baselines=independent,
        note=f"mean over {len(shown.images):,} images, one code each{_told(technique)}",
    )
    yield Metric(
        name="active_units",
        label="active code units",
        value=float((unit_activity(shown.codes) > ACTIVE).sum()),
        split=split,
        unit=f"of {technique.options.code}",
        better="higher",
        baselines={"all units": float(technique.options.code)},
        note=f"their mean varies by more than {ACTIVE} over {len(shown.images):,} images",
    )


def _told(technique: Vae) -> str:
    return ", their class being told" if technique.network.classes else ""


def _parts(samples: Mapping[str, Sample]) -> Table:
    rows: list[Row] = [
        {
            "split": split,
            "ELBO": float(each.elbo.double().mean()),
            "log p(x|z)": float(each.log_likelihood.double().mean()),
            "KL(q(z|x) ‖ p(z))": float(each.kl.double().sum(1).mean()),
        }
        for split, each in samples.items()
    ]
    note = "Means in nats per image: ELBO = log p(x|z) − KL, at one code drawn from q(z|x) for each image."
    return Table(name="elbo", title="The ELBO in its two parts", rows=tuple(rows), note=note)


def _accuracy(technique: Vae, data: ImageData, runtime: Runtime) -> Iterator[Metric]:
    """How often the class that makes an image most probable is its own."""
    if data.held_out is data.train:
        return
    (fit, labels), (test, others) = (
        _labelled(some(split, KNN_IMAGES, runtime)) for split in (data.train, data.held_out)
    )
    if not len(labels) or not len(others):
        return
    answers = runtime.collect(technique.classify, test).argmax(1).numpy()
    right = float((answers == others).mean())
    flat = [split.pixels().flatten(1).numpy() for split in (fit, test)]
    yield Metric(
        name="class_accuracy",
        label="class by Bayes' rule",
        value=right,
        split=data.held_out.name,
        better="higher",
        interval=wilson_interval(right, len(others)),
        baselines={
            "kNN on pixels": knn_accuracy(flat[0], labels, flat[1], others),
            "majority class": float((others == np.bincount(labels).argmax()).mean()),
        },
        note=f"{len(others):,} images, of which the model was not told the class",
    )


def _labelled(split: Split) -> tuple[Split, np.ndarray]:
    """The images with a class, and their classes."""
    if split.labels is None:
        return split, np.zeros(0, dtype=np.int64)
    known = torch.nonzero(split.labels >= 0).flatten()
    return split.subset(known), split.labels[known].numpy()
