"""Distances between two sets of feature vectors, in float64.

=========  =====================================================================================  ====================
FID        ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½)                                                    Heusel et al. 2017,
                                                                                                  equation 6
KID        unbiased squared MMD with the kernel (xᵀy / D + 1)³                                     Bińkowski et al.
                                                                                                  2018, section 3.1
MMD        unbiased squared MMD with the kernel exp(−‖x − y‖² / 2σ²), σ the median distance      Gretton et al. 2012,
           between genuine images                                                                 lemma 6, section 8
precision  share of generated images within reach of a genuine one: nearer than that one's k-th   Kynkäänniemi et al.
           nearest genuine neighbour                                                              2019, equation 2
recall     the same with the roles exchanged                                                      the same
density    1 / k × how many genuine images' reaches a generated one lies in, on average           Naeem et al. 2020,
                                                                                                  equation 4
coverage   share of genuine images that have a generated one within their reach                   the same, equation 5
=========  =====================================================================================  ====================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

NEIGHBOURS = 5
"""k of precision, recall, density and coverage; Naeem et al. 2020, section 5.1."""


def frechet(first: Values, second: Values) -> float:
    """FID of features ``(N, D)`` and ``(M, D)``; covariances are unbiased, as in the authors' code."""
    means = first.mean(0) - second.mean(0)
    return float(means @ means) + covariance_distance(covariance(first), covariance(second))


def covariance(features: Values) -> Values:
    """Unbiased, ``(D, D)``."""
    return np.atleast_2d(np.cov(features, rowvar=False))


def covariance_distance(first: Values, second: Values) -> float:
    """tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½), the squared Bures distance of two covariances.

    (Σ₁Σ₂)^½ has the trace of (RΣ₂R)^½, R = Σ₁^½, whose argument is symmetric: its eigenvalues are real and stable
    where Σ is singular, as with fewer images than features.
    """
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    between = np.linalg.eigvalsh(root @ second @ root).clip(0)
    return float(np.trace(first) + np.trace(second) - 2 * np.sqrt(between).sum())


def kernel_distance(first: Values, second: Values) -> float:
    """KID of features ``(N, D)`` and ``(M, D)``: over all images, so there are no subsets to draw."""
    size = first.shape[1]
    return _discrepancy(first, second, lambda a, b: np.asarray((a @ b.T / size + 1) ** 3))


def gaussian_discrepancy(first: Values, second: Values, width: float) -> float:
    """MMD² of ``(N, D)`` and ``(M, D)`` with a Gaussian kernel of this σ; unbiased, so it may be below zero."""
    return _discrepancy(first, second, lambda a, b: np.asarray(np.exp(-(_distances(a, b) ** 2) / (2 * width**2))))


def median_distance(values: Values, most: int = 1000) -> float:
    """Between two of the first ``most`` vectors ``(N, D)``, N ≥ 2; 1 where most are equal."""
    some = values[:most]
    return float(np.median(_distances(some, some)[np.triu_indices(len(some), 1)])) or 1.0


def _discrepancy(first: Values, second: Values, kernel: Callable[[Values, Values], Values]) -> float:
    """The unbiased squared maximum mean discrepancy, Gretton et al. 2012, equation 3."""

    def within(a: Values) -> float:
        values = kernel(a, a)
        return float((values.sum() - np.trace(values)) / (len(a) * (len(a) - 1)))

    return within(first) + within(second) - 2 * float(kernel(first, second).mean())


@dataclass(frozen=True)
class Overlap:
    """Where two sets overlap; see the module's table."""

    precision: float
    recall: float
    density: float
    coverage: float


def overlap(genuine: Values, generated: Values, k: int = NEIGHBOURS) -> Overlap:
    """Precision, recall, density and coverage of features ``(N, D)`` and ``(M, D)``.

    Args:
        genuine, generated: more than k of each.
        k: neighbours.
    """
    between = _distances(genuine, generated)
    reach, their_reach = _reach(genuine, k), _reach(generated, k)
    inside = between <= reach[:, None]  # (N, M)
    return Overlap(
        precision=float(inside.any(0).mean()),
        recall=float((between <= their_reach[None, :]).any(1).mean()),
        density=float(inside.sum(0).mean() / k),
        coverage=float((between.min(1) <= reach).mean()),
    )


def nearest(queries: Values, gallery: Values) -> tuple[NDArray[np.int64], Values]:
    """Of each query ``(Q, D)`` the nearest of the gallery ``(G, D)``: its position and its distance, both ``(Q,)``."""
    parts = [_distances(part, gallery) for part in np.array_split(queries, max(1, len(queries) // 500))]
    places = np.concatenate([part.argmin(1) for part in parts])
    return places, np.concatenate([part.min(1) for part in parts])


def _reach(features: Values, k: int) -> Values:
    """The distance to the k-th nearest other vector, ``(N,)``."""
    distances = _distances(features, features)
    np.fill_diagonal(distances, 0)
    return np.asarray(np.partition(distances, k, axis=1)[:, k])


def _distances(a: Values, b: Values) -> Values:
    squares = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T
    return np.asarray(np.sqrt(squares.clip(0)))
