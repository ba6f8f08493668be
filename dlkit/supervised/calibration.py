"""Whether a classifier is right as often as it says: reliability diagrams and the expected calibration error.

Source: Guo, Pleiss, Sun and Weinberger 2017, On calibration of modern neural networks, section 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dlkit.supervised.bootstrap import CHUNK, Floats, Weights

BINS = 15
"""As many as Guo et al. use."""
_DRAWS = 200


@dataclass(frozen=True)
class Reliability:
    """Predictions in bins of equal width by their confidence; empty bins hold zeros. Each ``(BINS,)``."""

    count: NDArray[np.int64]
    confidence: Floats
    accuracy: Floats


def bin_of(confidence: Floats) -> NDArray[np.int64]:
    """The bin ((m − 1) / M, m / M] that each confidence in [0, 1] falls into, 0 … M − 1."""
    return np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)


def reliability(confidence: Floats, correct: NDArray[np.bool_]) -> Reliability:
    """Mean confidence and accuracy of each bin (Guo et al., equations 1 and 2's terms).

    Args:
        confidence: ``(N,)``, the probability of the predicted class.
        correct: ``(N,)``, whether it is the right one.
    """
    bins = bin_of(confidence)
    count = np.bincount(bins, minlength=BINS)
    shared = np.maximum(count, 1)
    return Reliability(
        count,
        np.bincount(bins, confidence, minlength=BINS) / shared,
        np.bincount(bins, correct, minlength=BINS) / shared,
    )


def expected_calibration_error(weights: Weights, confidence: Floats, correct: NDArray[np.bool_]) -> Floats:
    """ECE = Σₘ |Bₘ| / N · |accuracy(Bₘ) − confidence(Bₘ)| (Guo et al., equation 3) of each resample, ``(R,)``."""
    count = len(confidence)
    gaps = csr_array((correct - confidence, (np.arange(count), bin_of(confidence))), shape=(count, BINS))
    return np.asarray(np.abs(weights @ gaps).sum(1) / count)


def calibrated_error(confidence: Floats, seed: int) -> float:
    """The ECE that a perfectly calibrated classifier with these confidences has on so few images, on average.

    It is not zero: in a bin of ten images the accuracy scatters by ±0.15 around the confidence.
    """
    random = np.random.default_rng(seed)
    count = len(confidence)
    member = csr_array((np.ones(count), (np.arange(count), bin_of(confidence))), shape=(count, BINS))
    rows = max(1, CHUNK // count)
    errors = []
    for start in range(0, _DRAWS, rows):
        correct = random.random((min(rows, _DRAWS - start), count)) < confidence
        errors.append(np.abs((correct - confidence) @ member).sum(1) / count)
    return float(np.concatenate(errors).mean())


def basic_interval(value: float, resamples: Floats) -> tuple[float, float] | None:
    """2 · ECE − the percentile interval (Efron and Tibshirani 1993, section 13.4's "basic" one), from 0 on.

    A resample's ECE is larger than that of its images, as theirs is larger than the truth; a percentile interval would
    add that error, this one takes it off. It always includes the value itself.
    """
    if resamples.min() == resamples.max():
        return None
    low, high = np.quantile(resamples, (0.025, 0.975))
    return float(np.clip(2 * value - high, 0, value)), float(max(2 * value - low, value))
