"""The autoencoder's figures: reconstruction beside PCA and filters, the worth of its code beside pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dlkit.baselines import PCABaseline, affordable, best_filter, code_metrics, quality_metrics
from dlkit.metrics import Metric, Metrics
from dlkit_builtin.autoencoder.code_figures import code_figures

if TYPE_CHECKING:
    from dlkit.data import ImageData, Split
    from dlkit.runtime import Runtime
    from dlkit_builtin.autoencoder.technique import Autoencoder

IMAGES = 10_000
"""At most so many held-out images are evaluated: the published test sets' size, and minutes where there are more."""
TRAIN_IMAGES = 2_000
"""At most so many training images: enough to see how much better than on held-out ones the model is."""
FILTER_IMAGES = 500
"""So many training images choose the filter."""
PCA_IMAGES = 20_000
"""At most so many training images fit the PCA."""


@dataclass(frozen=True)
class Sample:
    """Images of one split with what the model makes of them; all on the CPU, float32.

    Attributes:
        images, inputs, reconstructions: ``(N, C, H, W)``; ``inputs`` are corrupted when denoising.
        codes: ``(N, Z)`` of the *clean* images.
        labels: ``(N,)`` int64, −1 unlabelled, or None.
    """

    images: Tensor
    inputs: Tensor
    reconstructions: Tensor
    codes: Tensor
    labels: Tensor | None


def evaluate(technique: Autoencoder, data: ImageData, runtime: Runtime) -> Metrics:
    """Reconstruction for held-out and train data, then the code's worth where there are labels."""
    train = sample(technique, data.train, runtime, most=TRAIN_IMAGES)
    held_out = sample(technique, data.held_out, runtime) if data.held_out is not data.train else None
    samples = {} if held_out is None else {data.held_out.name: held_out}
    if len(data.train):
        samples["train"] = train
    baselines = _reconstruction_baselines(technique, data, train)
    rows = [row for split, s in samples.items() for row in _reconstruction(technique, split, s, baselines)]
    rows += code_figures(technique, train if held_out is None else held_out, data, runtime)
    return Metrics((*rows, *code_metrics(technique.encode, data, runtime)))


def sample(technique: Autoencoder, split: Split, runtime: Runtime, most: int = IMAGES) -> Sample:
    """At most ``most`` images of a split, always the same, through the model."""
    most = affordable(most, technique.spec.shape)
    indices = _choose(len(split), most, runtime.generator("evaluation sample", split.name))
    subset = split if len(indices) == len(split) else split.subset(indices)
    generator = runtime.generator("evaluation noise", split.name)
    parts = list(_batches(technique, subset, runtime, generator))
    empty = torch.zeros(0, *technique.spec.shape)
    images, inputs, reconstructions, codes = (
        (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        if parts
        else (empty, empty, empty, torch.zeros(0, technique.code))
    )
    return Sample(images, inputs, reconstructions, codes, subset.labels)


def _batches(
    technique: Autoencoder, split: Split, runtime: Runtime, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    with runtime.inference():
        for batch in runtime.batches(split, 500):
            inputs = technique.corrupted(batch.images, generator)
            results = (batch.images, inputs, technique.reconstruct(inputs), technique.encode(batch.images))
            yield tuple(tensor.float().cpu() for tensor in results)  # type: ignore[misc]


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
            len(data.train), affordable(PCA_IMAGES, technique.spec.shape), torch.Generator().manual_seed(technique.code)
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
    note = f"mean over {len(sample.images):,} images"
    if technique.options.denoise is not None:
        note += f" corrupted by {technique.options.denoise}"
    others = {name: restore(sample) for name, restore in baselines.items()}
    return quality_metrics(sample.reconstructions, sample.images, others, split=split, note=note)
