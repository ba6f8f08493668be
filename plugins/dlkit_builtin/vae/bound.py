"""The formulas: KL divergence, log-likelihoods of pixels, importance-weighted bound, active units.

``B`` images, codes of ``Z`` units; everything in nats. q(z|x) is a Gaussian with a mean and a log variance for each
unit, the prior p(z) the standard normal.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dlkit.losses import binary_cross_entropy

ACTIVE = 0.01
"""A unit is active where its mean varies more than this over images (Burda et al. 2016, section 5)."""


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(q(z|x) ‖ p(z)) of each unit (Kingma and Welling 2014, appendix B); ``(B, Z)`` twice → ``(B, Z)``."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def penalty(kl: Tensor, free_bits: float) -> Tensor:
    """The KL divergence as the loss has it: Σⱼ max(λ, mean over images of KLⱼ) (Kingma et al. 2016, "free bits").

    Args:
        kl: ``(B, Z)``.
        free_bits: λ, nats per unit; with 0 this is the mean over images of the sum.
    """
    if free_bits == 0:
        return kl.sum(1).mean()
    return kl.mean(0).clamp_min(free_bits).sum()


def bernoulli_log_likelihood(logits: Tensor, images: Tensor) -> Tensor:
    """Σ x log p + (1 − x) log(1 − p), p = σ(logits); grey pixels count as their expectation.

    Args:
        logits: ``(B, C, H, W)``.
        images: same shape, in [0, 1].

    Returns:
        ``(B,)``.
    """
    return -binary_cross_entropy(logits, images).flatten(1).sum(1)


def gaussian_log_likelihood(means: Tensor, images: Tensor, log_variance: Tensor) -> Tensor:
    """Σ log N(x; mean, σ²), one variance for all pixels.

    Args:
        means, images: ``(B, C, H, W)``.
        log_variance: scalar, log σ².

    Returns:
        ``(B,)``.
    """
    squares = (images - means).square().flatten(1)
    return -0.5 * (
        squares.sum(1) * torch.exp(-log_variance) + squares.shape[1] * (log_variance + math.log(2 * math.pi))
    )


def log_weights(log_likelihood: Tensor, codes: Tensor, noise: Tensor, log_variance: Tensor) -> Tensor:
    """log p(x|z) p(z) / q(z|x) for codes z = mean + σ · noise.

    Args:
        log_likelihood: log p(x|z), ``(…)``.
        codes, noise, log_variance: ``(…, Z)``; the last is that of q(z|x).

    Returns:
        ``(…)``.
    """
    return log_likelihood + 0.5 * (noise.square() + log_variance - codes.square()).sum(-1)


def importance_weighted(weights: Tensor) -> Tensor:
    """log 1/K Σₖ wₖ, a lower bound of log p(x) in expectation, tighter with each sample (Burda et al. 2016, eq. 8).

    Args:
        weights: log wₖ, ``(K, B)``.

    Returns:
        ``(B,)``.
    """
    return torch.logsumexp(weights, 0) - math.log(len(weights))


def unit_activity(means: Tensor) -> Tensor:
    """A = Var over images of the posterior means (Burda et al. 2016, section 5); ``(B, Z)`` → ``(Z,)``."""
    return means.var(0, correction=0)
