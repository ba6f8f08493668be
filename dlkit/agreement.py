"""How well clusters agree with classes: figures of contingency tables, with intervals by the bootstrap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from dlkit.metrics import Metric
from dlkit.supervised.bootstrap import RESAMPLES, percentile_interval

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def contingency(classes: Ints, clusters: Ints, shape: tuple[int, int]) -> Ints:
    """How many images of each class (rows) are in each cluster (columns).

    Args:
        classes, clusters: ``(N,)``, numbered from 0.
        shape: how many there are of both.
    """
    flat = np.bincount(classes * shape[1] + clusters, minlength=shape[0] * shape[1])
    return np.asarray(flat.reshape(shape), dtype=np.int64)


def mutual_information(tables: NDArray[Any]) -> Floats:
    """Normalised mutual information 2 I(U; V) / (H(U) + H(V)) of each table (Vinh et al. 2010, table 2, NMI_sum).

    Args:
        tables: counts ``(…, R, K)``.

    Returns:
        ``(…)`` in [0, 1]; 1 where there is one class and one cluster.
    """
    shares = tables / tables.sum((-2, -1), keepdims=True)
    rows, columns = _entropy(shares.sum(-1)), _entropy(shares.sum(-2))
    mutual = rows + columns - _entropy(shares.reshape(*shares.shape[:-2], -1))
    total = rows + columns
    return np.where(total > 0, 2 * mutual / np.where(total > 0, total, 1), 1.0).clip(0, 1)


def _entropy(shares: Floats) -> Floats:
    return np.asarray(-(shares * np.log(np.where(shares > 0, shares, 1))).sum(-1), dtype=np.float64)


def adjusted_rand(tables: NDArray[Any]) -> Floats:
    """Adjusted Rand index of each table (Hubert and Arabie 1985, equation 5): 0 is what chance gives, 1 agreement.

    Args:
        tables: counts ``(…, R, K)``.
    """
    counts = tables.astype(np.float64)
    both, rows, columns = (_pairs(each).sum(-1) for each in (
        counts.reshape(*counts.shape[:-2], -1), counts.sum(-1), counts.sum(-2)))  # fmt: skip
    expected = rows * columns / np.maximum(_pairs(counts.sum((-2, -1))), 1)
    most = (rows + columns) / 2
    apart = most - expected
    return np.asarray(np.where(apart != 0, (both - expected) / np.where(apart != 0, apart, 1), 1.0), dtype=np.float64)


def _pairs(counts: Floats) -> Floats:
    return counts * (counts - 1) / 2


def matched_accuracy(tables: NDArray[Any]) -> Floats:
    """Share of images whose cluster stands for their class, where each cluster stands for one class at most, chosen as
    well as can be (Kuhn 1955, the Hungarian method).

    Args:
        tables: counts ``(…, R, K)``.
    """
    flat = tables.reshape(-1, *tables.shape[-2:])
    right = [table[linear_sum_assignment(table, maximize=True)].sum() / table.sum() for table in flat]
    return np.asarray(right, dtype=np.float64).reshape(tables.shape[:-2])


FIGURES = {
    "nmi": ("normalised mutual information", mutual_information),
    "ari": ("adjusted Rand index", adjusted_rand),
    "cluster_accuracy": ("clustering accuracy", matched_accuracy),
}


def agreement_metrics(table: Ints, others: Mapping[str, Ints], *, split: str, note: str, seed: int) -> Iterator[Metric]:
    """NMI, ARI and clustering accuracy with 95 % intervals: images drawn again with replacement.

    Args:
        table: counts ``(R, K)``, at least one image.
        others: name → the same of other clusters of the same images.
        split: of the images.
        note: what they are.
        seed: of the draws.
    """
    count = int(table.sum())
    drawn = np.random.default_rng(seed).multinomial(count, table.ravel() / count, RESAMPLES).reshape(-1, *table.shape)
    majority = {"majority class": float(table.sum(1).max() / count)}
    for name, (label, figure) in FIGURES.items():
        beside = {other: float(figure(each)) for other, each in others.items()}
        yield Metric(
            name=name, label=label, value=float(figure(table)), split=split, better="higher",
            interval=percentile_interval(figure(drawn)),
            baselines=beside | (majority if name == "cluster_accuracy" else {}), note=note if name == "nmi" else "",
        )  # fmt: skip
