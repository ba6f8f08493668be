"""The autoencoder's figures: reconstruction beside PCA and filters, the worth of its code beside pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlkit.baselines import (
    PCABaseline,
    best_filter,
    image_quality,
    knn_accuracy,
    linear_probe_accuracy,
    wilson_interval,
)
from dlkit.baselines.quality import Quality, mean_and_interval
from dlkit.metrics import Metric, Metrics

if TYPE_CHECKING:
    from dlkit.data import ImageData, Split
    from dlkit.runtime import Runtime
    from dlkit_builtin.autoencoder.technique import Autoencoder

IMAGES = 10_000
"""At most so many images of a split are evaluated: the published test sets' size, and minutes where there are more."""
VALUES = 100_000_000
"""At most so many pixel values are held at once: 10,000 images of MNIST or CIFAR, 660 of 224 × 224 × 3."""
FILTER_IMAGES = 500
"""So many training images choose the filter."""
PCA_IMAGES = 20_000
"""At most so many training images fit the PCA."""
PROBE_IMAGES = 5_000
"""At most so many training images fit the classifiers."""


@dataclass(frozen=True)
class Sample:
    """Images of one split with what the model makes of them; all on the CPU, float32.

    Attributes:
        images, inputs, reconstructions: ``(N, C, H, W)``; ``inputs`` are corrupted when denoising.
        codes: ``(N, Z)`` of the *clean* images.
        labels: ``(N,)`` int64, −1 unlabelled, or None.
        indices: ``(N,)``, which images of the split these are.
    """

    images: Tensor
    inputs: Tensor
    reconstructions: Tensor
    codes: Tensor
    labels: Tensor | None
    indices: Tensor


def evaluate(technique: Autoencoder, data: ImageData, runtime: Runtime) -> Metrics:
    """Reconstruction for held-out and train data, then the code's worth where there are labels."""
    train = sample(technique, data.train, runtime)
    held_out = sample(technique, data.held_out, runtime) if data.held_out is not data.train else None
    samples = {} if held_out is None else {data.held_out.name: held_out}
    if len(data.train):
        samples["train"] = train
    baselines = _reconstruction_baselines(technique, data, train)
    rows = [row for split, s in samples.items() for row in _reconstruction(technique, split, s, baselines)]
    if held_out is not None and len(data.train):
        rows += _code(data, train, held_out)
    return Metrics(tuple(rows))


def sample(technique: Autoencoder, split: Split, runtime: Runtime, most: int = IMAGES) -> Sample:
    """At most ``most`` images of a split, always the same, through the model."""
    indices = _choose(len(split), _affordable(technique, most), runtime.generator("evaluation sample", split.name))
    subset = split if len(indices) == len(split) else split.subset(indices)
    generator = runtime.generator("evaluation noise", split.name)
    parts = list(_batches(technique, subset, runtime, generator))
    empty = torch.zeros(0, *technique.spec.shape)
    images, inputs, reconstructions, codes = (
        (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        if parts
        else (empty, empty, empty, torch.zeros(0, technique.code))
    )
    return Sample(images, inputs, reconstructions, codes, subset.labels, indices)


def _batches(
    technique: Autoencoder, split: Split, runtime: Runtime, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    with runtime.inference():
        for batch in runtime.batches(split, 500):
            inputs = technique.corrupted(batch.images, generator)
            results = (batch.images, inputs, technique.reconstruct(inputs), technique.encode(batch.images))
            yield tuple(tensor.float().cpu() for tensor in results)  # type: ignore[misc]


def _affordable(technique: Autoencoder, most: int) -> int:
    return max(1, min(most, VALUES // math.prod(technique.spec.shape)))


def _choose(count: int, most: int, generator: torch.Generator) -> Tensor:
    if count <= most:
        return torch.arange(count)
    return torch.randperm(count, generator=generator, device=generator.device)[:most].sort().values.cpu()


Restore = Callable[[Sample], Tensor]


def _reconstruction_baselines(technique: Autoencoder, data: ImageData, train: Sample) -> dict[str, Restore]:
    """Name → what a simpler method makes of a sample's inputs; fitted and chosen on training images only."""
    baselines: dict[str, Restore] = {}
    if len(data.train):
        some = _choose(
            len(data.train), _affordable(technique, PCA_IMAGES), torch.Generator().manual_seed(technique.code)
        )
        pca = PCABaseline(data.train.pixels(some), technique.code)
        baselines[f"PCA, {pca.components} components"] = lambda sample: pca.reconstruct(sample.inputs)
    if technique.options.denoise is not None:
        baselines["corrupted input"] = lambda sample: sample.inputs
        if len(train.images):
            few = _choose(len(train.images), FILTER_IMAGES, torch.Generator().manual_seed(0))
            chosen = best_filter(train.inputs[few], train.images[few])
            baselines[chosen.name] = lambda sample: chosen(sample.inputs)
    return baselines


def _reconstruction(
    technique: Autoencoder, split: str, sample: Sample, baselines: dict[str, Restore]
) -> Iterator[Metric]:
    own = image_quality(sample.reconstructions, sample.images)
    others = {name: image_quality(restore(sample), sample.images) for name, restore in baselines.items()}
    note = f"mean over {len(sample.images):,} images"
    if technique.options.denoise is not None:
        note += f" corrupted by {technique.options.denoise}"
    figures: tuple[tuple[str, str, str, str, Callable[[Quality], NDArray[np.float64]]], ...] = (
        ("psnr", "PSNR", "dB", "higher", lambda quality: quality.psnr),
        ("ssim", "SSIM", "", "higher", lambda quality: quality.ssim),
        ("mse", "MSE per pixel", "", "lower", lambda quality: quality.mse),
        ("squared_error", "squared error per image", "", "lower", lambda quality: quality.squared_error),
    )
    for name, label, unit, better, figure in figures:
        value, interval = mean_and_interval(figure(own))
        if math.isnan(value):  # SSIM of images that are smaller than any window
            continue
        yield Metric(
            name=name,
            label=label,
            value=value,
            split=split,
            unit=unit,
            better="higher" if better == "higher" else "lower",
            interval=interval,
            baselines={other: float(figure(quality).mean()) for other, quality in others.items()},
            note=note,
        )


def _code(data: ImageData, train: Sample, held_out: Sample) -> Iterator[Metric]:
    """Accuracy of simple classifiers on the codes beside the same on raw pixels; nothing without labels."""
    fit, test = _labelled(train, PROBE_IMAGES), _labelled(held_out, IMAGES)
    if fit is None or test is None or len(data.spec.classes) < 2:
        return
    codes, pixels, labels = fit
    test_codes, test_pixels, test_labels = test
    majority = int(np.bincount(labels).argmax())
    note = f"fitted on {len(labels):,} labelled training images, tested on {len(test_labels):,}"
    for name, label, classify in (
        ("knn_accuracy", "kNN accuracy of the code", knn_accuracy),
        ("linear_probe_accuracy", "linear-probe accuracy of the code", linear_probe_accuracy),
    ):
        accuracy = classify(codes, labels, test_codes, test_labels)
        yield Metric(
            name=name,
            label=label,
            value=accuracy,
            split=data.held_out.name,
            better="higher",
            interval=wilson_interval(accuracy, len(test_labels)),
            baselines={
                "raw pixels": classify(pixels, labels, test_pixels, test_labels),
                "majority class": float((test_labels == majority).mean()),
            },
            note=note,
        )


Labelled = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]


def _labelled(sample: Sample, most: int) -> Labelled | None:
    """Codes, flat pixels and labels of the labelled images, at most ``most`` (spread over the sample)."""
    if sample.labels is None:
        return None
    known = torch.nonzero(sample.labels >= 0).flatten()
    if len(known) == 0:
        return None
    known = known[_choose(len(known), most, torch.Generator().manual_seed(0))]
    return sample.codes[known].numpy(), sample.images[known].flatten(1).numpy(), sample.labels[known].numpy()
