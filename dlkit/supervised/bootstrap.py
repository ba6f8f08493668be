"""Confidence intervals by the bootstrap: images drawn again with replacement, all draws in one matrix product."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Weights = NDArray[np.float64]
"""``(R, N)``: how often each of N images was drawn in each of R resamples; rows sum to N."""

Statistic = Callable[[Weights], Floats]
"""``(R, N)`` → the figure of each resample, ``(R,)``; NaN where a resample has none."""

RESAMPLES = 1000
CHUNK = 1 << 22
"""Weights held at once (32 MiB)."""


def resampled(
    statistics: Mapping[str, Statistic], count: int, seed: int, resamples: int = RESAMPLES
) -> dict[str, Floats]:
    """Figures of resamples of ``count`` images; all statistics see the same draws.

    Returns:
        Name → ``(resamples,)``.
    """
    random = np.random.default_rng(seed)
    rows = max(1, CHUNK // count)
    found: dict[str, list[Floats]] = {name: [] for name in statistics}
    for start in range(0, resamples, rows):
        weights = _draw(random, min(rows, resamples - start), count)
        for name, statistic in statistics.items():
            found[name].append(statistic(weights))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _draw(random: np.random.Generator, rows: int, count: int) -> Weights:
    drawn = random.integers(0, count, (rows, count), dtype=np.int32)
    drawn += (np.arange(rows, dtype=np.int32) * count)[:, None]  # below 2 × CHUNK, or one row
    return np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float64)


def percentile_interval(values: Floats) -> tuple[float, float] | None:
    """The middle 95 % of the resamples' figures (Efron and Tibshirani 1993, section 13.3).

    None where all are alike: a classifier without mistakes has none in any resample either, which says nothing about
    how sure that is.
    """
    values = values[np.isfinite(values)]
    if len(values) < 2 or values.min() == values.max():
        return None
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def intervals(
    statistics: Mapping[str, Statistic], count: int, seed: int, resamples: int = RESAMPLES
) -> dict[str, tuple[float, float] | None]:
    """Percentile intervals of several figures of ``count`` images."""
    return {name: percentile_interval(values) for name, values in resampled(statistics, count, seed, resamples).items()}
