"""LogME against numerical maximisation of the evidence; H-score against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from dlkit.probes.targets import Targets
from dlkit.probes.transferability import h_score, logme


def evidence(features: np.ndarray, y: np.ndarray) -> float:
    """max over α, β of log N(y; 0, FFᵀ/α + I/β), per image."""

    def negative(logs: np.ndarray) -> float:
        alpha, beta = np.exp(logs)
        covariance = features @ features.T / alpha + np.eye(len(y)) / beta
        return -float(multivariate_normal(np.zeros(len(y)), covariance).logpdf(y)) / len(y)

    best = min((minimize(negative, start, method="Nelder-Mead") for start in ([0, 0], [2, 2])), key=lambda r: r.fun)
    return -float(best.fun)


@pytest.mark.parametrize("shape", [(40, 6), (15, 25)])
def test_logme_is_the_maximum_evidence(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=shape)
    labels = (features[:, 0] + 0.7 * random.normal(size=shape[0]) > 0).astype(np.int64)
    expected = np.mean([evidence(features, (labels == label).astype(float)) for label in (0, 1)])
    assert logme(features, Targets("classes", labels, 2)) == pytest.approx(expected, abs=2e-3)


def test_logme_of_numbers_and_of_better_features_is_higher() -> None:
    random = np.random.default_rng(1)
    features = random.normal(size=(60, 5))
    y = features @ np.arange(5.0)[:, None] + 0.1 * random.normal(size=(60, 1))
    assert logme(features, Targets("number", y, 1)) > logme(random.normal(size=(60, 5)), Targets("number", y, 1)) + 1


def test_h_score_without_shrinkage_is_its_definition() -> None:
    random = np.random.default_rng(2)
    labels = np.arange(4000) % 3
    features = random.normal(size=(3, 4))[labels] + random.normal(size=(4000, 4))
    centred = features - features.mean(0)
    means = np.stack([centred[labels == label].mean(0) for label in range(3)])[labels]
    expected = np.trace(np.linalg.pinv(np.cov(features.T, bias=True)) @ np.cov(means.T, bias=True))
    found = h_score(features, Targets("classes", labels, 3))
    assert found == pytest.approx(expected, rel=0.01)  # with so many images the shrinkage is below 1 %
    assert h_score(features, Targets("number", features, 4)) is None
