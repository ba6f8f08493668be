"""Cross-validated estimates against scikit-learn's cross_val_predict, and properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dlkit.probes.estimates import interval, knn_estimate, learning_curve, linear_estimate
from dlkit.probes.folds import folds
from dlkit.probes.targets import Targets


def task(count: int, size: int, classes: int, spread: float = 2.0) -> tuple[np.ndarray, Targets]:
    random = np.random.default_rng(5)
    labels = (np.arange(count) % classes).astype(np.int64)
    features = random.normal(size=(classes, size))[labels] + spread * random.normal(size=(count, size))
    return features.astype(np.float32), Targets("classes", labels, classes)


@pytest.mark.parametrize("size", [6, 150], ids=["few dimensions", "more dimensions than images"])
def test_linear_estimate_is_cross_val_predict_at_the_best_penalty(size: int) -> None:
    features, targets = task(90, size, 3)
    parts = folds(targets, 5, seed=0)
    found = {}
    for strength in (1e-3, 1e-1, 1.0):
        pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
        found[strength] = cross_val_predict(pipeline, features, targets.values, cv=parts, method="predict_proba")
    best = min(found, key=lambda strength: log_loss(targets.values, found[strength]))
    estimate = linear_estimate(features, targets, parts, tuple(found))
    assert best == estimate.C
    assert estimate.loss == pytest.approx(log_loss(targets.values, found[best]), rel=2e-2)  # both stop at a tolerance
    assert estimate.value == (found[best].argmax(1) == targets.values).mean()


def test_knn_estimate_is_cross_val_predict() -> None:
    features, targets = task(80, 7, 4)
    parts = folds(targets, 4, seed=1)
    pipeline = make_pipeline(StandardScaler(), KNeighborsClassifier(5, metric="cosine"))
    expected = cross_val_predict(pipeline, features, targets.values, cv=parts)
    assert knn_estimate(features, targets, parts).value == (expected == targets.values).mean()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=4, max_size=40), st.integers(2, 6))
def test_folds_predict_every_image_once(labels: list[int], count: int) -> None:
    parts = folds(Targets("classes", np.array(labels, dtype=np.int64), 5), count, seed=0)
    assert sorted(np.concatenate([test for _, test in parts]).tolist()) == list(range(len(labels)))
    for train, test in parts:
        assert not set(train) & set(test)
        assert len(train) + len(test) == len(labels)


def test_folds_have_classes_alike() -> None:
    labels = np.repeat(np.arange(3), [30, 20, 10])
    for _, test in folds(Targets("classes", labels, 3), 5, seed=0):
        assert np.bincount(labels[test]).tolist() == [6, 4, 2]


def test_multi_label_and_numbers_are_estimated() -> None:
    features, targets = task(60, 5, 3, spread=0.3)
    several = Targets("multi-label", np.eye(3)[targets.values], 3)
    assert linear_estimate(features, several, folds(several, 5, 0)).value > 0.95
    numbers = Targets("number", features[:, :1].astype(np.float64) * 3 + 1, 1)
    parts = folds(numbers, 5, 0)
    assert linear_estimate(features, numbers, parts, (1e-3, 1e3)).value > 0.999
    assert 0 < knn_estimate(features, numbers, parts).value < 1


def test_learning_curve_ends_where_the_estimate_is_and_rises() -> None:
    features, targets = task(300, 20, 3, spread=2.5)
    parts = folds(targets, 5, 0)
    estimate = linear_estimate(features, targets, parts, (0.1,))
    curve = learning_curve(features, targets, 0.1, parts, (0.05, 0.2, 1.0), seed=0)
    assert curve[-1][1] == pytest.approx(estimate.value)
    assert curve[0][1] < curve[-1][1]
    assert [images for images, _, _ in curve] == pytest.approx([12, 48, 240])


def test_interval_of_right_and_wrong_stays_within_bounds() -> None:
    low, high = interval(np.ones(12))
    assert (low > 0.7, high) == (True, 1.0)
