"""A linear model on features: scikit-learn's own, as the weights of an ``nn.Linear``.

On standardised features x, with an L2 penalty of strength 1/C (the intercept is free):

    classes      multinomial logistic regression    Σᵢ −log softmax(Wxᵢ + b)[yᵢ] + ‖W‖² / 2C
    multi-label  a binary one for each label        Σᵢ −log σ(±(wxᵢ + b)) + ‖w‖² / 2C
    number       ridge regression                   Σᵢ (wxᵢ + b − yᵢ)² + ‖w‖² / C

An image's loss is multiplied by its weight where the targets have weights (:meth:`.Targets.weights`).
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from torch import nn

from dlkit.probes.targets import Targets

Values = NDArray[np.floating[Any]]

NEVER = -1e4
"""Logit of a class (or label) that no training image has: its probability is zero in float32."""
_ITERATIONS = 1000
_SMALL = 10_000_000  # values (images × features) below which several BLAS threads only wait for each other


def fit_linear(features: Values, targets: Targets, C: float) -> nn.Linear:  # noqa: N803 - scikit-learn's name
    """Fit the model above; the standardisation is folded into its weights.

    Args:
        features: ``(N, D)``.
        targets: of the N images.
        C: inverse strength of the penalty.

    Returns:
        From features ``(B, D)`` to ``(B, K)``: logits, or numbers.
    """
    scaler = StandardScaler().fit(features)
    weights, bias = solve(scaler.transform(features), targets, C)
    weights = weights / scaler.scale_
    bias = bias - weights @ scaler.mean_
    linear = nn.Linear(weights.shape[1], weights.shape[0])
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(weights))
        linear.bias.copy_(torch.from_numpy(bias))
    return linear


def solve(features: Values, targets: Targets, C: float) -> tuple[Values, Values]:  # noqa: N803
    """Weights ``(K, D)`` and bias ``(K,)``, float64, on features ``(N, D)`` that are standardised already."""
    with warnings.catch_warnings(), threadpool_limits(1 if features.size < _SMALL else None, user_api="blas"):
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The number of unique classes")  # many classes of one image: classes still
        if targets.kind == "number":
            ridge = Ridge(alpha=1 / C).fit(features, targets.values)
            return np.atleast_2d(ridge.coef_), np.atleast_1d(ridge.intercept_)
        if targets.kind == "classes":
            return _logistic(features, targets, C)
        each = targets.weights()
        rows = [
            _binary(features, targets.values[:, label] >= 0.5, None if each is None else each[:, label], C)
            for label in range(targets.outputs)
        ]
        return np.stack([weight for weight, _ in rows]), np.array([bias for _, bias in rows])


def _logistic(features: Values, targets: Targets, C: float) -> tuple[Values, Values]:  # noqa: N803
    """All K classes, also those that no image has."""
    weights, bias = np.zeros((targets.outputs, features.shape[1])), np.full(targets.outputs, NEVER)
    present = np.unique(targets.values)
    if len(present) == 1:  # nothing to tell apart
        bias[present] = 0.0
        return weights, bias
    model = LogisticRegression(C=C, max_iter=_ITERATIONS).fit(features, targets.values, targets.weights())
    coefficients, intercepts = model.coef_, model.intercept_
    if len(present) == 2:  # P(second) = σ(z) = softmax(−z/2, z/2): weights of both classes, which pictures explain
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    weights[present], bias[present] = coefficients, intercepts
    return weights, bias


def _binary(
    features: Values, positive: NDArray[np.bool_], weights: Values | None, C: float  # noqa: N803
) -> tuple[Values, float]:  # fmt: skip
    if positive.all() or not positive.any():
        return np.zeros(features.shape[1]), -NEVER if positive.any() else NEVER
    model = LogisticRegression(C=C, max_iter=_ITERATIONS).fit(features, positive, weights)
    return model.coef_[0], float(model.intercept_[0])


def outputs_of(weights: Values, bias: Values, features: Values, targets: Targets) -> Values:
    """Probabilities or numbers ``(N, K)`` that a solution gives for features ``(N, D)``."""
    values = features @ weights.T + bias
    if targets.kind == "classes":
        values = np.exp(values - values.max(1, keepdims=True))
        return np.asarray(values / values.sum(1, keepdims=True))
    return values if targets.kind == "number" else 1 / (1 + np.exp(-np.clip(values, NEVER, -NEVER)))
