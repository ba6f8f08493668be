"""Distributions of images with no network, whose likelihood is exact: what a learned one is compared with."""

from __future__ import annotations

import torch
from sklearn.decomposition import PCA
from torch import Tensor

from dlkit_builtin.vae.bound import bernoulli_log_likelihood

GREY = 1 / 255
"""The least standard deviation of a Gaussian pixel: a step of 8-bit grey. A pixel that never varies has none."""


class Pixels:
    """Independent pixels, each with the training images' mean (and variance), one such model for each class.

    Args:
        images: ``(N, C, H, W)`` float32.
        labels: int64 ``(N,)``, where the class is told; else None.
        gaussian: normal distributions in place of Bernoulli's.
    """

    def __init__(self, images: Tensor, labels: Tensor | None, *, gaussian: bool) -> None:
        self.gaussian = gaussian
        given = torch.zeros(len(images), dtype=torch.int64) if labels is None else labels
        self._whole = self._fit(images)
        self._models = {label: self._fit(images[given == label]) for label in given.unique().tolist()}

    def log_likelihood(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """Images ``(N, C, H, W)`` and, where the class is told, ``(N,)`` → ``(N,)`` in nats."""
        given = torch.zeros(len(images), dtype=torch.int64) if labels is None else labels
        result = torch.zeros(len(images))
        for label in given.unique().tolist():
            first, second = self._models.get(label, self._whole)
            chosen = images[given == label]
            if self.gaussian:
                normal = torch.distributions.Normal(first, second)
                result[given == label] = normal.log_prob(chosen).flatten(1).sum(1)
            else:
                result[given == label] = bernoulli_log_likelihood(first.expand_as(chosen), chosen)
        return result

    def _fit(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (twice), or means and standard deviations; ``(C, H, W)``."""
        if self.gaussian:
            return images.mean(0), images.var(0, correction=0).sqrt().clamp_min(GREY)
        logits = ((images.sum(0) + 1) / (len(images) + 2)).logit()  # Laplace's rule: no pixel is certain
        return logits, logits


def ppca_log_likelihood(train: Tensor, components: int, images: Tensor) -> Tensor:
    """Probabilistic PCA, the linear Gaussian model of the same code size (Tipping and Bishop 1999), by scikit-learn.

    Args:
        train, images: ``(N, C, H, W)`` and ``(M, C, H, W)``.
        components: size of the code; less than the number of pixels.

    Returns:
        ``(M,)`` in nats.
    """
    pca = PCA(components, random_state=0).fit(train.flatten(1).double().numpy())
    return torch.from_numpy(pca.score_samples(images.flatten(1).double().numpy())).float()
