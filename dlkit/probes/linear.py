"""A linear classifier on features: scikit-learn's logistic regression as the weights of an ``nn.Linear``."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn

Values = NDArray[np.float32]
Labels = NDArray[np.int64]

NEVER = -1e4
"""Logit of a class that no training image has: its probability is zero in float32."""


def fit_linear(features: Values, labels: Labels, classes: int, C: float) -> nn.Linear:  # noqa: N803
    """Multinomial logistic regression with an L2 penalty on standardised features.

    Minimises  Σᵢ −log p(yᵢ | xᵢ) + ‖W‖² / 2C;  the standardisation is folded into the weights.

    Args:
        features: ``(N, D)``.
        labels: ``(N,)``, at least two different ones.
        classes: K.
        C: inverse strength of the penalty.

    Returns:
        From ``(B, D)`` to logits ``(B, K)``.
    """
    scaler = StandardScaler().fit(features)
    model = LogisticRegression(C=C, max_iter=1000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(scaler.transform(features), labels)
    return as_linear(model, scaler, classes)


def as_linear(model: LogisticRegression, scaler: StandardScaler, classes: int) -> nn.Linear:
    """A fitted logistic regression on standardised features → the same on features as they are."""
    weights, bias = np.asarray(model.coef_), np.asarray(model.intercept_)
    if len(weights) == 1:  # two classes: P(second) = σ(z) = softmax(0, z)
        weights, bias = np.concatenate([0 * weights, weights]), np.concatenate([0 * bias, bias])
    weights = weights / scaler.scale_
    bias = bias - weights @ scaler.mean_
    linear = nn.Linear(weights.shape[1], classes)
    with torch.no_grad():
        linear.weight.zero_()
        linear.bias.fill_(NEVER)
        linear.weight[torch.from_numpy(model.classes_)] = torch.from_numpy(weights).float()
        linear.bias[torch.from_numpy(model.classes_)] = torch.from_numpy(bias).float()
    return linear
