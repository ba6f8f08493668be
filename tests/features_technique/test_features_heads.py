"""Heads equal scikit-learn's estimators on the same features."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn
import torch
from dlkit_builtin.features.head import Estimator, Linear
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from small_features import class_targets, drawn, fitted_head, number_targets, outputs_of

from dlkit.errors import DataError, UsageError
from dlkit.probes.folds import folds

LINEAR = {
    "softmax": LogisticRegression(max_iter=1000),
    "linear-svm": LinearSVC(max_iter=10_000, random_state=0),
    "ridge": RidgeClassifier(random_state=0),
    "lda": LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
}


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("name", LINEAR)
def test_linear_coefficients_and_predictions_are_scikit_learns(name: str, classes: int) -> None:
    features, labels = drawn(classes=classes)
    head, _ = fitted_head(features, class_targets(labels), classifier=name, standardize=False)
    own = LINEAR[name].fit(features, labels)
    assert isinstance(head.score, Linear)
    coefficients = np.atleast_2d(own.coef_)
    last = slice(-len(coefficients), None)  # of two classes the second's
    np.testing.assert_allclose(head.score.weight.numpy()[last], coefficients, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(head.score.bias.numpy()[last], np.ravel(own.intercept_), rtol=1e-5, atol=1e-6)
    outputs = outputs_of(head, features)
    np.testing.assert_array_equal(outputs.argmax(1), own.predict(features))
    if hasattr(own, "predict_proba"):
        np.testing.assert_allclose(outputs, own.predict_proba(features), atol=2e-5)


@pytest.mark.parametrize("name", LINEAR)
def test_standardisation_and_pca_are_folded_into_the_weights(name: str) -> None:
    features, labels = drawn(classes=3)
    pca = {"softmax": "8", "lda": "0.9"}.get(name)
    from dlkit_builtin.features.options import Components

    head, _ = fitted_head(features, class_targets(labels), classifier=name, pca=pca and Components.parse(pca))
    steps = [StandardScaler()] + ([PCA(float(pca) if "." in pca else int(pca), svd_solver="full")] if pca else [])
    own = make_pipeline(*steps, sklearn.base.clone(LINEAR[name])).fit(features, labels)
    assert isinstance(head.score, Linear)
    outputs = outputs_of(head, features)
    np.testing.assert_array_equal(outputs.argmax(1), own.predict(features))
    np.testing.assert_allclose(outputs.sum(1), 1, atol=1e-6)
    if hasattr(own, "predict_proba"):
        np.testing.assert_allclose(outputs, own.predict_proba(features), atol=2e-5)


@pytest.mark.skipif(tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 8), reason="has no temperature scaling")
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(("name", "own"), [("linear-svm", LinearSVC(max_iter=10_000, random_state=0)), ("ridge", RidgeClassifier(random_state=0)), ("svm-rbf", SVC(break_ties=True))])  # noqa: E501  # fmt: skip
def test_calibration_is_scikit_learns_temperature_scaling(name: str, own: object, classes: int) -> None:
    features, labels = drawn(classes=classes)
    targets = class_targets(labels)
    head, _ = fitted_head(features, targets, classifier=name)
    whole = make_pipeline(StandardScaler(), own)
    calibrated = CalibratedClassifierCV(whole, method="temperature", cv=folds(targets, 5, 0), ensemble=False)
    expected = calibrated.fit(features, labels).predict_proba(features)
    np.testing.assert_allclose(outputs_of(head, features), expected, atol=1e-3)


@pytest.mark.parametrize(("name", "own"), [("knn", KNeighborsClassifier(algorithm="brute")), ("random-forest", RandomForestClassifier(random_state=0))])  # noqa: E501  # fmt: skip
def test_other_estimators_are_used_as_they_are(name: str, own: object) -> None:
    features, labels = drawn()
    head, _ = fitted_head(features, class_targets(labels), classifier=name)
    assert isinstance(head.score, Estimator)
    expected = make_pipeline(StandardScaler(), own).fit(features, labels).predict_proba(features)
    np.testing.assert_allclose(outputs_of(head, features), expected, atol=1e-6)


def test_search_finds_what_grid_search_finds() -> None:
    features, labels = drawn(seed=3)
    targets = class_targets(labels)
    _, made = fitted_head(features, targets, classifier="softmax", search="grid", param=("C=0.001|0.1|10",))
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    grid = GridSearchCV(pipeline, {"logisticregression__C": [0.001, 0.1, 10]}, cv=folds(targets, 5, 0))
    grid.fit(features, labels)
    assert made.table[0]["parameters"] == {"C": grid.best_params_["logisticregression__C"]}
    assert made.table[0]["score"] == pytest.approx(grid.best_score_)
    scores = {row["parameters"]["C"]: row["score"] for row in made.table}
    assert [scores[C] for C in (0.001, 0.1, 10)] == pytest.approx(list(grid.cv_results_["mean_test_score"]))
    assert made.table[0]["parameters"]["C"] == made.pipeline["model"].C


def test_a_random_search_repeats_and_stays_within_the_candidates() -> None:
    features, labels = drawn()
    tables = [
        fitted_head(features, class_targets(labels), classifier="softmax", search="random", trials=4)[1].table
        for _ in range(2)
    ]
    assert tables[0] == tables[1]
    assert len(tables[0]) == 4
    assert all(1e-4 <= row["parameters"]["C"] <= 10 for row in tables[0])


def test_a_class_without_training_images_has_probability_zero() -> None:
    features, labels = drawn(classes=3)
    for name in ("softmax", "knn", "linear-svm"):
        head, _ = fitted_head(features, class_targets(2 * labels, classes=6), classifier=name)
        outputs = outputs_of(head, features)
        assert outputs.shape == (150, 6)
        assert (outputs[:, [1, 3, 5]] == 0).all()
        np.testing.assert_allclose(outputs.sum(1), 1, atol=1e-6)


def test_numbers_in_their_own_units() -> None:
    features, _ = drawn()
    random = np.random.default_rng(1)
    values = 1000 + 50 * features @ random.normal(size=(features.shape[1], 2))
    head, _ = fitted_head(features, number_targets(values), standardize=False)
    own = Ridge(random_state=0).fit(features.astype(np.float64), values)
    assert isinstance(head.score, Linear)
    np.testing.assert_allclose(outputs_of(head, features), own.predict(features), rtol=1e-3)
    head, _ = fitted_head(features, number_targets(values[:, 0]), classifier="random-forest", standardize=False)
    forest = TransformedTargetRegressor(RandomForestRegressor(random_state=0), transformer=StandardScaler())
    expected = forest.fit(features, values[:, 0]).predict(features)
    np.testing.assert_allclose(outputs_of(head, features)[:, 0], expected, rtol=1e-3, atol=0.1)


def test_a_single_image_of_a_class_leaves_scores_uncalibrated_and_says_so() -> None:
    features, labels = drawn(classes=3)
    labels = np.where(np.arange(150) == 0, 3, labels)
    head, made = fitted_head(features, class_targets(labels), classifier="linear-svm")
    assert head.sharpness == 1.0
    assert any("not calibrated" in notice for notice in made.notices)


def test_what_cannot_be_fitted_says_why() -> None:
    features, labels = drawn(count=8, classes=2)
    with pytest.raises(DataError, match="all of one class"):
        fitted_head(features, class_targets(np.zeros(8, dtype=int), classes=2))
    with pytest.raises(UsageError, match="cannot be fitted on 8 images"):
        fitted_head(features, class_targets(labels), classifier="knn", param=("n_neighbors=20",))
    from dlkit_builtin.features.options import Components

    with pytest.raises(UsageError, match="--pca 20 cannot be fitted on 8 images with 24 features"):
        fitted_head(features, class_targets(labels), pca=Components.parse("20"))


def test_a_large_mean_beside_a_small_spread_costs_no_precision() -> None:
    features, labels = drawn()
    features = (1e3 + 1e-2 * features).astype(np.float32)
    head, made = fitted_head(features, class_targets(labels))
    expected = made.pipeline.predict_proba(features)
    assert isinstance(head.score, Linear)
    assert torch.from_numpy(outputs_of(head, features)).sub(torch.from_numpy(expected)).abs().max() < 1e-3
