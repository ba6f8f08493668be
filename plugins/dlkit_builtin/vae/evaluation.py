"""The VAE's figures: likelihoods beside models without a network, reconstruction beside PCA, the worth of its code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from dlkit.baselines import (
    PCABaseline,
    affordable,
    code_metrics,
    knn_accuracy,
    quality_metrics,
    wilson_interval,
)
from dlkit.baselines.quality import mean_and_interval
from dlkit.metrics import Metric, Metrics, Table
from dlkit_builtin.vae.bound import ACTIVE, importance_weighted, kl_divergence, log_weights, unit_activity
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
ROWS = 5_000
"""So many codes are decoded at once for the importance-weighted bound."""


@dataclass(frozen=True)
class Sample:
    """Images of one split with what the model makes of them; all on the CPU, float32.

    Attributes:
        images: ``(N, C, H, W)``, 0 or 1 with ``--binarize``.
        reconstructions: of the mean codes, same shape.
        codes: means of q(z|x), ``(N, Z)``.
        kl: of each unit, ``(N, Z)``.
        log_likelihood: log p(x|z) at one code drawn from q(z|x), ``(N,)``.
        classes: those that the model was told, ``(N,)`` int64: an image's own, or where that is not known the model's
            guess; None where it is told none.
        labels: the images' own, −1 unlabelled, or None.
    """

    images: Tensor
    reconstructions: Tensor
    codes: Tensor
    kl: Tensor
    log_likelihood: Tensor
    classes: Tensor | None
    labels: Tensor | None

    @property
    def elbo(self) -> Tensor:
        """``(N,)``."""
        return self.log_likelihood - self.kl.sum(1)


def evaluate(technique: Vae, data: ImageData, runtime: Runtime) -> Metrics:
    """Likelihood of held-out images, then ELBO and reconstruction of both splits, units in use, the code's worth."""
    train = sample(technique, data.train, runtime, most=TRAIN_IMAGES)
    samples = {"train": train} if len(data.train) else {}
    if data.held_out is not data.train and len(data.held_out):
        samples = {data.held_out.name: sample(technique, data.held_out, runtime), **samples}
    fit = _training_images(technique, data, runtime)
    rows = list(_likelihood(technique, data.held_out, fit, runtime)) if len(data.held_out) else []
    for split, each in samples.items():
        rows += _bound(technique, split, each, fit)
        others = {} if fit is None else {f"PCA, {fit.pca.components} components": fit.pca.reconstruct(each.images)}
        note = f"mean over {len(each.images):,} images"
        rows += quality_metrics(each.reconstructions, each.images, others, split=split, note=note)
    rows += code_metrics(technique.encode, data, runtime)
    if technique.network.classes:
        rows += _accuracy(technique, data, runtime)
    return Metrics(tuple(rows), (_parts(samples),))


def sample(technique: Vae, split: Split, runtime: Runtime, most: int = IMAGES) -> Sample:
    """At most ``most`` images of a split, always the same, through the model."""
    subset = some(split, affordable(most, technique.spec.shape), runtime)
    network, generator = technique.network.eval(), runtime.generator("evaluation noise", split.name)
    columns: list[list[Tensor]] = []
    empty = torch.zeros(0, *technique.spec.shape)
    units = torch.zeros(0, technique.options.code)
    with runtime.inference():
        for batch in runtime.batches(subset, 500):
            images = technique.observed(batch.images, generator)
            noise = technique.noise(len(images), generator)
            classes = technique.known(images, batch.labels)
            condition = network.one_hot(classes)
            activations, mean, log_variance = network(images, noise, condition)
            restored = network.pixels(network.decoder(mean, condition).float())
            kl, fits = kl_divergence(mean, log_variance), network.log_likelihood(activations, images)
            told = torch.zeros(len(images)) if classes is None else classes
            columns.append([each.cpu() for each in (images, restored, mean, kl, fits, told)])
    values = [torch.cat(parts) for parts in zip(*columns, strict=True)] or [
        empty, empty, units, units, torch.zeros(0), torch.zeros(0),
    ]  # fmt: skip
    told = values.pop()
    return Sample(*values, classes=told.long() if network.classes else None, labels=subset.labels)


def some(split: Split, most: int, runtime: Runtime) -> Split:
    """At most ``most`` images of a split, always the same ones, in their order."""
    if len(split) <= most:
        return split
    generator = runtime.generator("evaluation sample", split.name, device="cpu")
    return split.subset(torch.randperm(len(split), generator=generator)[:most].sort().values)


def importance_weighted_nll(technique: Vae, split: Split, runtime: Runtime) -> tuple[Tensor, Tensor, Tensor | None]:
    """−log p(x), estimated with ``--nll-samples`` codes for each image.

    Returns:
        Estimates ``(N,)``, the images ``(N, C, H, W)`` and the classes told ``(N,)`` or None; on the CPU.
    """
    network, samples = technique.network.eval(), technique.options.nll_samples
    at_once = max(1, affordable(ROWS, technique.spec.shape) // samples)
    generator = runtime.generator("importance samples", split.name)
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    with runtime.inference():
        for batch in runtime.batches(split, at_once):
            images = technique.observed(batch.images, generator)
            classes = technique.known(images, batch.labels)
            condition = network.one_hot(classes)
            mean, log_variance = network.posterior(images, condition)
            noise = technique.noise(samples * len(images), generator).view(samples, *mean.shape)
            codes = mean + torch.exp(0.5 * log_variance) * noise  # (K, B, Z)
            repeated = None if condition is None else condition.repeat(samples, 1)
            activations = network.decoder(codes.flatten(0, 1), repeated).float()
            targets = images.expand(samples, *images.shape).flatten(0, 1)
            fits = network.log_likelihood(activations, targets).view(samples, len(images))
            estimate = importance_weighted(log_weights(fits, codes, noise, log_variance))
            told = torch.zeros(len(images)) if classes is None else classes
            found.append((-estimate.cpu(), images.cpu(), told.cpu()))
    nll, images, told = (torch.cat(parts) for parts in zip(*found, strict=True))
    return nll, images, told.long() if network.classes else None


@dataclass(frozen=True)
class Fitted:
    """The models that it is compared with, fitted on training images only."""

    images: Tensor
    pixels: Pixels
    pca: PCABaseline


def _training_images(technique: Vae, data: ImageData, runtime: Runtime) -> Fitted | None:
    if not len(data.train):
        return None
    subset = some(data.train, affordable(FIT_IMAGES, technique.spec.shape), runtime)
    images = technique.observed(subset.pixels(), torch.Generator().manual_seed(0))
    labels = subset.labels if technique.network.classes else None
    pixels = Pixels(images, labels, gaussian=technique.network.gaussian)
    return Fitted(images, pixels, PCABaseline(images, technique.options.code))


def _likelihood(technique: Vae, split: Split, fit: Fitted | None, runtime: Runtime) -> Iterator[Metric]:
    chosen = some(split, technique.options.nll_images, runtime)
    nll, images, classes = importance_weighted_nll(technique, chosen, runtime)
    value, interval = mean_and_interval(nll.double().numpy())
    baselines: dict[str, float] = {}
    if fit is not None:
        baselines["independent pixels"] = -float(fit.pixels.log_likelihood(images, classes).double().mean())
        components = fit.pca.components
        if technique.network.gaussian and components < min(fit.images[0].numel(), len(fit.images)):
            baselines[f"probabilistic PCA, {components} components"] = -float(
                ppca_log_likelihood(fit.images, components, images).double().mean()
            )
    samples = technique.options.nll_samples
    yield Metric(
        name="nll",
        label="negative log-likelihood",
        value=value,
        split=split.name,
        unit="nats",
        better="lower",
        interval=interval,
        baselines=baselines,
        note=f"{len(nll):,} images, {samples:,} importance samples each" + _told(technique),
    )


def _bound(technique: Vae, split: str, sample: Sample, fit: Fitted | None) -> Iterator[Metric]:
    value, interval = mean_and_interval(sample.elbo.double().numpy())
    independent = {} if fit is None else {
        "independent pixels": float(fit.pixels.log_likelihood(sample.images, sample.classes).double().mean())
    }  # fmt: skip
    yield Metric(
        name="elbo",
        label="ELBO",
        value=value,
        split=split,
        unit="nats",
        better="higher",
        interval=interval,
        baselines=independent,
        note=f"mean over {len(sample.images):,} images, one code each" + _told(technique),
    )
    active = int((unit_activity(sample.codes) > ACTIVE).sum())
    yield Metric(
        name="active_units",
        label="active code units",
        value=float(active),
        split=split,
        better="higher",
        baselines={"all of them": float(technique.options.code)},
        note=f"their mean varies by more than {ACTIVE} over {len(sample.images):,} images",
    )


def _told(technique: Vae) -> str:
    return ", their class being told" if technique.network.classes else ""


def _parts(samples: dict[str, Sample]) -> Table:
    rows = tuple(
        {
            "split": split,
            "ELBO": float(each.elbo.double().mean()),
            "log p(x|z)": float(each.log_likelihood.double().mean()),
            "KL(q(z|x) ‖ p(z))": float(each.kl.double().sum(1).mean()),
        }
        for split, each in samples.items()
    )
    note = "Means in nats per image: ELBO = log p(x|z) − KL, at one code drawn from q(z|x) for each image."
    return Table(name="elbo", title="The ELBO in its two parts", rows=rows, note=note)


def _accuracy(technique: Vae, data: ImageData, runtime: Runtime) -> Iterator[Metric]:
    """How often the class that makes an image most probable is its own."""
    fit, test = (_labelled(some(split, IMAGES // 2, runtime)) for split in (data.train, data.held_out))
    if data.held_out is data.train or fit is None or test is None:
        return
    answers = runtime.collect(technique.classify, test).argmax(1)
    right = float((answers == test.labels).double().mean())
    images, labels, others, other_labels = (
        array for split in (fit, test) for array in (split.pixels().flatten(1).numpy(), np.asarray(split.labels))
    )
    yield Metric(
        name="class_accuracy",
        label="class by Bayes' rule",
        value=right,
        split=data.held_out.name,
        better="higher",
        interval=wilson_interval(right, len(test)),
        baselines={
            "kNN on pixels": knn_accuracy(images, labels, others, other_labels),
            "majority class": float((other_labels == np.bincount(labels).argmax()).mean()),
        },
        note=f"{len(test):,} images, of which the model was not told the class",
    )


def _labelled(split: Split) -> Split | None:
    if split.labels is None or not bool((split.labels >= 0).any()):
        return None
    return split.subset(torch.nonzero(split.labels >= 0).flatten())
