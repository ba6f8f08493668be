"""Distributions of images with no network, whose likelihood is exact: what a learned one is compared with."""

from __future__ import annotations

import math
from collections.abc import Callable

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
        self._whole = self._fit(images)
        told = set() if labels is None else set(labels.tolist())
        self._models = {label: self._fit(images[labels == label]) for label in told}

    def log_likelihood(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """Images ``(N, C, H, W)`` and, where the class is told, ``(N,)`` → ``(N,)`` in nats."""
        if labels is None:
            return self._whole(images)
        result = torch.zeros(len(images))
        for label in set(labels.tolist()):
            result[labels == label] = self._models.get(label, self._whole)(images[labels == label])
        return result

    def _fit(self, images: Tensor) -> Callable[[Tensor], Tensor]:
        """A distribution as its log likelihood, ``(n, C, H, W)`` → ``(n,)``."""
        if self.gaussian:
            mean, deviation = images.mean(0), images.std(0, correction=0).clamp_min(GREY)
            constant = (deviation.log() + 0.5 * math.log(2 * math.pi)).sum()
            return lambda others: -0.5 * ((others - mean) / deviation).square().flatten(1).sum(1) - constant
        logits = ((images.sum(0) + 1) / (len(images) + 2)).logit()  # Laplace's rule: no pixel is certain
        return lambda others: bernoulli_log_likelihood(logits.expand_as(others), others)


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
