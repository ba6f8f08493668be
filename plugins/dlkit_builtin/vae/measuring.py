"""A split's images through the model: codes, reconstructions, the ELBO's parts, the importance-weighted bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dlkit.baselines import affordable
from dlkit_builtin.vae.bound import importance_weighted, kl_divergence, log_weights

if TYPE_CHECKING:
    from dlkit.data import Split
    from dlkit.runtime import Batch, Runtime
    from dlkit_builtin.vae.technique import Vae

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


@dataclass(frozen=True)
class Likelihood:
    """Estimates of −log p(x), on the CPU.

    Attributes:
        nll: ``(N,)`` in nats.
        images: ``(N, C, H, W)``, 0 or 1 with ``--binarize``.
        classes: as in :class:`Sample`.
    """

    nll: Tensor
    images: Tensor
    classes: Tensor | None


def some(split: Split, most: int, runtime: Runtime) -> Split:
    """At most ``most`` images of a split, and no more than memory affords; always the same ones, in their order."""
    if len(split) == 0:
        return split
    most = affordable(most, split.pixels(torch.zeros(1, dtype=torch.int64)).shape[1:])
    if len(split) <= most:
        return split
    generator = runtime.generator("evaluation sample", split.name, device="cpu")
    return split.subset(torch.randperm(len(split), generator=generator)[:most].sort().values)


def sample(technique: Vae, split: Split, runtime: Runtime) -> Sample:
    """All images of a split, which has at least one, through the model; the same draws each time."""
    generator = runtime.generator("evaluation noise", split.name)
    images, restored, codes, kl, fits, classes = _collect(partial(_through, technique, generator), split, runtime, 500)
    told = classes.long() if technique.network.classes else None
    return Sample(images, restored, codes, kl, fits, told, split.labels)


def importance_weighted_nll(technique: Vae, split: Split, runtime: Runtime) -> Likelihood:
    """−log p(x) of all images of a split, which has at least one, from ``--nll-samples`` codes for each."""
    at_once = max(1, affordable(ROWS, technique.spec.shape) // technique.options.nll_samples)
    generator = runtime.generator("importance samples", split.name)
    nll, images, classes = _collect(partial(_weighted, technique, generator), split, runtime, at_once)
    return Likelihood(nll, images, classes.long() if technique.network.classes else None)


def _collect(
    measure: Callable[[Batch], tuple[Tensor, ...]], split: Split, runtime: Runtime, batch_size: int
) -> list[Tensor]:
    """What ``measure`` gives for all images, on the CPU, in tensors that are there from the beginning.

    Small results that are kept between large ones that are not would leave holes in memory, gigabytes of them.
    """
    whole: list[Tensor] = []
    with runtime.inference():
        for batch in runtime.batches(split, batch_size):
            parts, places = measure(batch), batch.indices.cpu()
            whole = whole or [torch.empty(len(split), *part.shape[1:]) for part in parts]
            for values, part in zip(whole, parts, strict=True):
                values[places] = part.cpu().float()
    return whole


def _through(technique: Vae, generator: torch.Generator, batch: Batch) -> tuple[Tensor, ...]:
    """The attributes of :class:`Sample` but for the labels; zeros for classes where there are none."""
    network = technique.network.eval()
    images = technique.observed(batch.images, generator)
    classes = technique.known(images, batch.labels)
    condition = network.one_hot(classes)
    activations, mean, log_variance = network(images, technique.noise(len(images), generator), condition)
    restored = network.pixels(network.decoder(mean, condition).float())
    fits = network.log_likelihood(activations, images)
    return images, restored, mean, kl_divergence(mean, log_variance), fits, fits * 0 if classes is None else classes


def _weighted(technique: Vae, generator: torch.Generator, batch: Batch) -> tuple[Tensor, ...]:
    """The attributes of :class:`Likelihood`; zeros for classes where there are none."""
    network, samples = technique.network.eval(), technique.options.nll_samples
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
    nll = -importance_weighted(log_weights(fits, codes, noise, log_variance))
    return nll, images, nll * 0 if classes is None else classes
