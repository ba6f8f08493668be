"""Linear heads against scikit-learn's own pipelines on the same features."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dlkit.probes.linear import fit_linear, outputs_of, solve
from dlkit.probes.targets import Targets


def blobs(count: int, size: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = random.normal(size=(classes, size))
    return (centres[labels] + random.normal(size=(count, size)) * 2 + 3).astype(np.float32), labels.astype(np.int64)


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_classes_equal_scikit_learn(classes: int) -> None:
    features, labels = blobs(90, 12, classes)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000)).fit(features, labels)
    head = fit_linear(features, Targets("classes", labels, classes), 0.1)
    new, _ = blobs(50, 12, classes, seed=1)
    with torch.no_grad():
        ours = head(torch.from_numpy(new)).softmax(1).numpy()
    assert np.abs(ours - pipeline.predict_proba(new)).max() < 1e-5
    model, scaler = pipeline[-1], pipeline[0]
    if classes > 2:
        assert np.abs(head.weight.detach().numpy() * scaler.scale_ - model.coef_).max() < 1e-5
    else:
        difference = (head.weight[1] - head.weight[0]).detach().numpy() * scaler.scale_
        assert np.abs(difference - model.coef_[0]).max() < 1e-5
        assert torch.equal(head.weight[0], -head.weight[1])  # what speaks for one class speaks against the other


@pytest.mark.parametrize("classes", [2, 3])
def test_balanced_classes_equal_scikit_learns(classes: int) -> None:
    features, labels = blobs(90, 5, classes)
    some = np.flatnonzero((labels > 0) | (np.arange(90) < 30))  # the first class is rare
    features, labels = features[some], labels[some]
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced"))
    reference = pipeline.fit(features, labels).predict_proba(features)
    plain, balanced = (Targets("classes", labels, classes, balanced=balanced) for balanced in (False, True))
    with torch.no_grad():
        ours, unweighted = (
            fit_linear(features, targets, 0.1)(torch.from_numpy(features)).softmax(1) for targets in (balanced, plain)
        )
    assert np.abs(ours.numpy() - reference).max() < 1e-4
    assert np.abs(unweighted.numpy() - reference).max() > 1e-2


def test_balanced_labels_equal_scikit_learns() -> None:
    features, labels = blobs(80, 6, 4)
    values = np.stack([labels == 2, labels >= 1, np.ones_like(labels, dtype=bool)], 1).astype(np.float64)
    head = fit_linear(features, Targets("multi-label", values, 3, balanced=True), 0.5)
    with torch.no_grad():
        ours = head(torch.from_numpy(features)).sigmoid().numpy()
    for label in (0, 1):
        pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.5, class_weight="balanced"))
        reference = pipeline.fit(features, values[:, label]).predict_proba(features)[:, 1]
        assert np.abs(ours[:, label] - reference).max() < 1e-4


def test_a_class_without_images_is_never_predicted() -> None:
    features, labels = blobs(60, 8, 3)
    head = fit_linear(features, Targets("classes", labels * 2, 6), 1.0)  # classes 0, 2 and 4
    with torch.no_grad():
        probabilities = head(torch.from_numpy(features)).softmax(1)
    assert probabilities[:, [1, 3, 5]].max() == 0
    reference = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(features, labels)
    assert np.abs(probabilities[:, ::2].numpy() - reference.predict_proba(features)).max() < 1e-5


def test_a_single_class_is_always_predicted() -> None:
    features, labels = blobs(10, 4, 2)
    head = fit_linear(features, Targets("classes", np.ones_like(labels), 2), 1.0)
    with torch.no_grad():
        assert head(torch.from_numpy(features)).softmax(1)[:, 1].min() == 1


def test_several_labels_are_one_logistic_regression_each() -> None:
    features, labels = blobs(80, 6, 4)
    values = np.stack([labels >= 2, labels % 2 == 1, np.ones_like(labels, dtype=bool)], 1).astype(np.float64)
    targets = Targets("multi-label", values, 3)
    head = fit_linear(features, targets, 0.5)
    with torch.no_grad():
        ours = head(torch.from_numpy(features)).sigmoid().numpy()
    for label in (0, 1):
        pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.5, max_iter=1000))
        reference = pipeline.fit(features, values[:, label]).predict_proba(features)[:, 1]
        assert np.abs(ours[:, label] - reference).max() < 1e-5
    assert ours[:, 2].min() == 1  # every image has it


def test_numbers_equal_ridge() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(70, 9)).astype(np.float32)
    values = np.stack([features @ np.arange(9.0) + 5, random.normal(size=70)], 1)
    head = fit_linear(features, Targets("number", values, 2), 2.0)
    reference = make_pipeline(StandardScaler(), Ridge(alpha=0.5)).fit(features, values)
    with torch.no_grad():
        assert np.abs(head(torch.from_numpy(features)).numpy() - reference.predict(features)).max() < 1e-4


@pytest.mark.parametrize("kind", ["classes", "multi-label", "number"])
def test_outputs_are_those_of_the_module(kind: str) -> None:
    features, labels = blobs(40, 5, 3)
    values = labels if kind == "classes" else np.eye(3)[labels]
    targets = Targets(kind, values, 3)  # type: ignore[arg-type]
    standard = StandardScaler().fit_transform(features)
    weights, bias = solve(standard, targets, 0.3)
    head = fit_linear(features, targets, 0.3)
    with torch.no_grad():
        logits = head(torch.from_numpy(features))
    expected = {"classes": logits.softmax(1), "multi-label": logits.sigmoid(), "number": logits}[kind]
    assert np.abs(outputs_of(weights, bias, standard, targets) - expected.numpy()).max() < 1e-4


@pytest.mark.filterwarnings("error")
def test_many_classes_of_one_image_are_classes() -> None:
    """scikit-learn takes them for numbers, and says so to whoever trains."""
    random = np.random.default_rng(0)
    targets = Targets("classes", np.arange(40) % 30, 30)
    weights, _ = solve(random.normal(size=(40, 8)), targets, 1.0)
    assert weights.shape == (30, 8)
