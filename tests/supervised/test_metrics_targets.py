"""Figures of several labels per image, and of numbers, equal scikit-learn's and SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from labelled_data import make_data
from scipy.stats import spearmanr
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    mean_absolute_error,
    precision_recall_fscore_support,
    r2_score,
    root_mean_squared_error,
)
from sklearn.neighbors import KNeighborsRegressor

from dlkit.metrics import Metrics
from dlkit.options import RuntimeOptions
from dlkit.runtime import Runtime
from dlkit.supervised.metrics import supervised_metrics, supervised_tables
from dlkit.supervised.multilabel import average_precision
from dlkit.supervised.regression import r_squared, spearman

LABELS = ("beach", "sea", "sky", "never")


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    return Runtime(RuntimeOptions(device="cpu", threads=1))


def flat(data: object, name: str) -> np.ndarray:
    return getattr(data, name).raw().flatten(1).numpy() / np.float32(255)


def test_figures_of_several_labels(runtime: Runtime) -> None:
    random = np.random.default_rng(0)
    train = (random.random((60, 4)) < (0.2, 0.5, 0.8, 0.1)).astype(np.float32)
    test = (random.random((80, 4)) < (0.2, 0.5, 0.8, 0.0)).astype(np.float32)
    test[5] = np.nan  # unlabelled
    outputs = torch.from_numpy(
        np.round(np.clip(0.3 * np.nan_to_num(test) + random.random((80, 4)) * 0.7, 0, 1), 2)
    ).float()
    data = make_data(train, test, LABELS, target="multi-label")
    known = ~np.isnan(test).any(1)
    truth, scores = test[known], outputs.numpy()[known]
    said = scores >= 0.5
    found = Metrics(tuple(supervised_metrics(outputs, data, runtime)))
    precision = [average_precision_score(truth[:, k], scores[:, k]) for k in range(3)]
    wanted = {
        "map": np.mean(precision),
        "micro_f1": f1_score(truth, said, average="micro"),
        "macro_f1": f1_score(truth, said, average="macro", zero_division=0),
        "subset_accuracy": accuracy_score(truth, said),
    }
    for name, value in wanted.items():
        row = found.get(name, "test")
        assert row.value == pytest.approx(value, abs=1e-6), name
        assert row.interval is not None
        assert row.interval[0] < value < row.interval[1]
    assert found.get("map", "test").baselines["label frequencies"] == pytest.approx(truth.mean(0)[:3].mean())
    neighbours = (
        KNeighborsRegressor(5, algorithm="brute").fit(flat(data, "train"), train).predict(flat(data, "test")[known])
    )
    theirs = np.mean([average_precision_score(truth[:, k], neighbours[:, k]) for k in range(3)])
    assert found.get("map", "test").baselines["5-NN on pixels"] == pytest.approx(theirs)
    (table,) = supervised_tables(outputs, data)
    rows = precision_recall_fscore_support(truth, said, zero_division=0)
    for column, values in zip(("precision", "recall", "F1", "images"), rows, strict=True):
        assert [row[column] for row in table.rows] == pytest.approx(list(values))
    assert [row["average precision"] for row in table.rows] == pytest.approx([*precision, 0])


def test_average_precision_of_resamples_equals_that_of_repeated_images() -> None:
    random = np.random.default_rng(0)
    scores = np.round(random.random(30), 1)  # with ties
    truth = (random.random(30) < 0.4).astype(float)
    drawn = random.integers(0, 30, (20, 30))
    weights = np.stack([np.bincount(each, minlength=30) for each in drawn]).astype(float)
    theirs = [average_precision_score(truth[each], scores[each]) for each in drawn]
    assert average_precision(weights, scores, truth) == pytest.approx(theirs)
    assert np.isnan(average_precision(weights, scores, np.zeros(30))).all()


def test_figures_of_numbers(runtime: Runtime) -> None:
    random = np.random.default_rng(0)
    train = np.stack([random.normal(40, 10, 70), random.normal(0, 1, 70)], 1).astype(np.float32)
    test = np.stack([random.normal(40, 10, 90), random.normal(0, 1, 90)], 1).astype(np.float32)
    test[3] = np.nan
    outputs = torch.from_numpy(np.nan_to_num(test) + random.normal(0, (5, 0.5), (90, 2))).float()
    data = make_data(train, test, ("age", "tilt"), target="number")
    known = ~np.isnan(test).any(1)
    found = Metrics(tuple(supervised_metrics(outputs, data, runtime)))
    neighbours = (
        KNeighborsRegressor(5, algorithm="brute").fit(flat(data, "train"), train).predict(flat(data, "test")[known])
    )
    for column, name in enumerate(("age", "tilt")):
        truth, said = test[known, column], outputs.numpy()[known, column]
        wanted = {
            "mae": mean_absolute_error, "rmse": root_mean_squared_error, "r2": r2_score,
            "spearman": lambda a, b: spearmanr(a, b).statistic,
        }  # fmt: skip
        for figure, function in wanted.items():
            row = found.get(f"{figure}_{name}", "test")
            assert row.value == pytest.approx(function(truth, said), rel=1e-5), row.name
            assert row.interval is not None
            assert row.interval[0] < row.value < row.interval[1]
            assert row.baselines["5-NN on pixels"] == pytest.approx(function(truth, neighbours[:, column]), abs=1e-5)
        mean = np.full(len(truth), train[:, column].mean())
        assert found.get(f"mae_{name}", "test").baselines["mean of the training images"] == pytest.approx(
            mean_absolute_error(truth, mean)
        )
        assert list(found.get(f"spearman_{name}", "test").baselines) == ["5-NN on pixels"]  # a constant has no ranks
    assert supervised_tables(outputs, data) == []


def test_a_single_column_needs_no_suffix(runtime: Runtime) -> None:
    values = np.linspace(0, 1, 20, dtype=np.float32)[:, None]
    found = supervised_metrics(torch.from_numpy(values), make_data(values, values, ("age",), target="number"), runtime)
    assert [row.name for row in found] == ["mae", "rmse", "r2", "spearman"]
    assert [row.value for row in found] == pytest.approx([0, 0, 1, 1])


def test_correlations_of_resamples_equal_those_of_repeated_images() -> None:
    random = np.random.default_rng(0)
    said, truth = np.round(random.normal(size=(2, 25)), 1)  # with ties
    drawn = random.integers(0, 25, (20, 25))
    weights = np.stack([np.bincount(each, minlength=25) for each in drawn]).astype(float)
    assert spearman(weights, said, truth) == pytest.approx([spearmanr(said[d], truth[d]).statistic for d in drawn])
    assert r_squared(weights, said, truth) == pytest.approx([r2_score(truth[d], said[d]) for d in drawn])
    constant = np.ones(25)
    assert np.isnan(r_squared(weights, said, constant)).all()
    assert np.isnan(spearman(weights, said, constant)).all()
