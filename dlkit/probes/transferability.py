"""How well features suit labels, without training anything: LogME and H-score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

from dlkit.probes.linear import Values
from dlkit.probes.targets import Targets

_ITERATIONS, _TOLERANCE = 100, 1e-4


def logme(features: Values, targets: Targets) -> float:
    """Logarithm of the maximum evidence of Bayesian linear regression from features to each target, per image.

    w ~ N(0, I/α), y ~ N(Fw, I/β); α and β maximise p(y | F) by fixed-point iteration (You et al. 2021, LogME,
    section 4.2, algorithm 1). One-hot targets for classes. More is better; below about −0.5 the features say little.

    Args:
        features: ``(N, D)``.
        targets: of the N images.
    """
    features = features.astype(np.float64)
    left, singular, _ = np.linalg.svd(features, full_matrices=False)
    columns = _columns(targets)
    return float(np.mean([_evidence(left, singular**2, features.shape, y) for y in columns.T]))


def _evidence(left: Values, squares: Values, shape: tuple[int, ...], y: Values) -> float:
    """Log evidence per image of one target at the best α and β; ``squares`` are the eigenvalues of FᵀF."""
    count, size = shape
    projected = (left.T @ y) ** 2
    outside = max(float(y @ y - projected.sum()), 0.0)  # of y, beyond all that features can express
    alpha = beta = 1.0
    for _ in range(_ITERATIONS):
        effective = float((squares * beta / (alpha + squares * beta)).sum())  # γ
        weights = float((beta**2 * squares * projected / (alpha + beta * squares) ** 2).sum())  # ‖m‖²
        residual = float((projected * alpha**2 / (alpha + beta * squares) ** 2).sum()) + outside  # ‖Fm − y‖²
        before = alpha / beta
        alpha = effective / max(weights, 1e-12)
        beta = max(count - effective, 1e-9) / max(residual, 1e-12)
        if abs(alpha / beta - before) <= _TOLERANCE * before:
            break
    weights = float((beta**2 * squares * projected / (alpha + beta * squares) ** 2).sum())
    residual = float((projected * alpha**2 / (alpha + beta * squares) ** 2).sum()) + outside
    determinant = float(np.log(alpha + beta * squares).sum()) + (size - len(squares)) * np.log(alpha)
    evidence = (
        count * np.log(beta) + size * np.log(alpha) - count * np.log(2 * np.pi)
        - beta * residual - alpha * weights - determinant
    ) / 2  # fmt: skip
    return float(evidence) / count


def h_score(features: Values, targets: Targets) -> float | None:
    """tr(cov(F)⁻¹ cov(E[F | y])) (Bao et al. 2019), with the covariance shrunk as by Ledoit and Wolf.

    The shrinkage (Ibrahim et al. 2021) is what makes it usable with fewer images than features. At most K − 1; more is
    better. None where targets are no classes.

    Args:
        features: ``(N, D)``.
        targets: of the N images.
    """
    if targets.kind != "classes":
        return None
    centred = features.astype(np.float64) - features.mean(0)
    covariance, shrinkage = ledoit_wolf(centred, assume_centered=True)
    means = np.zeros_like(centred)
    for label in np.unique(targets.values):
        rows = targets.values == label
        means[rows] = centred[rows].mean(0)
    between = (1 - shrinkage) * means.T @ means / len(centred)
    return float(np.trace(np.linalg.solve(covariance, between)))


def _columns(targets: Targets) -> NDArray[np.float64]:
    if targets.kind != "classes":
        return np.asarray(targets.values, dtype=np.float64)
    return np.eye(targets.outputs)[targets.values.astype(np.int64)][:, np.unique(targets.values)]
