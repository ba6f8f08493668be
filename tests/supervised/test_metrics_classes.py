"""Figures of classifiers equal scikit-learn's and SciPy's on the same answers."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch
from labelled_data import make_data, probabilities
from scipy.stats import bootstrap
from sklearn.metrics import f1_score, log_loss, precision_recall_fscore_support, top_k_accuracy_score
from sklearn.neighbors import KNeighborsClassifier

from dlkit.data import ImageData
from dlkit.metrics import Metrics
from dlkit.options import RuntimeOptions
from dlkit.runtime import Runtime
from dlkit.supervised.calibration import BINS, calibrated_error, expected_calibration_error, reliability
from dlkit.supervised.metrics import Costs, supervised_metrics, supervised_tables
from dlkit.supervised.pixels import block_means, nearest

NAMES = tuple(f"class {number}" for number in range(12))


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    return Runtime(RuntimeOptions(device="cpu", threads=1))


@pytest.fixture(scope="module")
def case() -> tuple[ImageData, np.ndarray, torch.Tensor]:
    """Twelve classes, of which the last is never tested, and some images without a label."""
    random = np.random.default_rng(1)
    train, test = random.integers(0, 12, 90), random.integers(-1, 11, 150)
    train[:20] = 3  # the majority
    return make_data(train, test, NAMES), test, probabilities(test, 12, skill=1.5)


def test_figures_equal_those_of_scikit_learn(
    case: tuple[ImageData, np.ndarray, torch.Tensor], runtime: Runtime
) -> None:
    data, test, outputs = case
    known = test >= 0
    labels, scores = test[known], outputs.numpy()[known]
    found = Metrics(tuple(supervised_metrics(outputs, data, runtime)))
    present = np.unique(labels)
    wanted = {
        "accuracy": float((scores.argmax(1) == labels).mean()),
        "top5_accuracy": top_k_accuracy_score(labels, scores, k=5, labels=range(12)),
        "macro_f1": f1_score(labels, scores.argmax(1), labels=present, average="macro", zero_division=0),
        "nll": log_loss(labels, scores, labels=range(12)),
    }
    for name, value in wanted.items():
        metric = found.get(name, "test")
        assert metric.value == pytest.approx(value, abs=1e-6), name
        assert metric.interval is not None
        assert metric.interval[0] < value < metric.interval[1], name
    assert [row.name for row in found] == ["accuracy", "top5_accuracy", "macro_f1", "ece", "nll"]


def test_baselines_equal_those_of_scikit_learn(
    case: tuple[ImageData, np.ndarray, torch.Tensor], runtime: Runtime
) -> None:
    data, test, outputs = case
    known = test >= 0
    labels = test[known]
    found = Metrics(tuple(supervised_metrics(outputs, data, runtime)))
    train = data.train.labels.numpy()
    flat = [split.raw().flatten(1).numpy() / np.float32(255) for split in (data.train, data.test)]
    neighbours = KNeighborsClassifier(5, algorithm="brute").fit(flat[0], train).predict(flat[1][known])
    present = np.unique(labels)
    for name, answers in (("majority class", np.full(len(labels), 3)), ("5-NN on pixels", neighbours)):
        f1 = f1_score(labels, answers, labels=present, average="macro", zero_division=0)
        assert found.get("accuracy", "test").baselines[name] == pytest.approx((answers == labels).mean())
        assert found.get("macro_f1", "test").baselines[name] == pytest.approx(f1)
    frequency = np.bincount(train, minlength=12) / len(train)
    constant = np.tile(frequency, (len(labels), 1))
    assert found.get("nll", "test").baselines["class frequencies"] == pytest.approx(
        float(-np.log(np.maximum(constant[np.arange(len(labels)), labels], np.finfo(np.float32).eps)).mean())
    )
    commonest = np.argsort(-frequency, kind="stable")[:5]
    assert found.get("top5_accuracy", "test").baselines["five commonest classes"] == pytest.approx(
        np.isin(labels, commonest).mean()
    )


@pytest.mark.parametrize("name", ["macro_f1", "nll"])
def test_intervals_equal_those_of_scipy(
    name: str, case: tuple[ImageData, np.ndarray, torch.Tensor], runtime: Runtime
) -> None:
    data, test, outputs = case
    known = test >= 0
    labels, scores = test[known], outputs.double().numpy()[known]

    def figure(chosen: np.ndarray) -> float:
        if name == "nll":
            return float(-np.log(scores[chosen, labels[chosen]]).mean())
        present = np.unique(labels[chosen])
        return float(f1_score(labels[chosen], scores[chosen].argmax(1), labels=present, average="macro"))

    places = (np.arange(len(labels)),)
    theirs = bootstrap(places, figure, n_resamples=600, vectorized=False, method="percentile", rng=0)
    ours = Metrics(tuple(supervised_metrics(outputs, data, runtime))).get(name, "test").interval
    assert ours is not None
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert ours[0] == pytest.approx(theirs.confidence_interval.low, abs=0.12 * width)
    assert ours[1] == pytest.approx(theirs.confidence_interval.high, abs=0.12 * width)


def test_a_figure_repeats_from_the_seed(case: tuple[ImageData, np.ndarray, torch.Tensor], runtime: Runtime) -> None:
    data, _, outputs = case
    assert supervised_metrics(outputs, data, runtime) == supervised_metrics(outputs, data, runtime)
    other = Runtime(RuntimeOptions(device="cpu", threads=1, seed=1))
    assert supervised_metrics(outputs, data, runtime) != supervised_metrics(outputs, data, other)


def test_the_calibration_error_is_the_weighted_gap_of_the_bins() -> None:
    random = np.random.default_rng(0)
    confidence = np.concatenate([random.random(300), [0.0, 1.0, 1 / 15, 2 / 15]])
    correct = random.random(304) < confidence
    expected = 0.0
    for number in range(BINS):  # ((m - 1) / M, m / M], the first with 0, by definition
        low, high = number / BINS, (number + 1) / BINS
        inside = (confidence > low) & (confidence <= high) | ((number == 0) & (confidence == 0))
        if inside.any():
            expected += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    value = expected_calibration_error(np.ones((1, 304)), confidence, correct)
    assert value == pytest.approx([expected])
    bins = reliability(confidence, correct)
    assert bins.count.sum() == 304
    assert (bins.count / 304 * abs(bins.accuracy - bins.confidence)).sum() == pytest.approx(expected)


def test_weights_mean_the_same_as_repeated_images() -> None:
    random = np.random.default_rng(0)
    confidence, drawn = random.random(40), random.integers(0, 40, 40)
    correct = random.random(40) < 0.6
    weights = np.bincount(drawn, minlength=40)[None].astype(float)
    repeated = expected_calibration_error(np.ones((1, 40)), confidence[drawn], correct[drawn])
    assert expected_calibration_error(weights, confidence, correct) == pytest.approx(repeated)


def test_a_calibrated_classifier_reaches_the_calibrated_baseline(runtime: Runtime) -> None:
    random = np.random.default_rng(0)
    confidence = random.uniform(0.5, 1, 400)
    errors = [
        float(expected_calibration_error(np.ones((1, 400)), confidence, random.random(400) < confidence)[0])
        for _ in range(100)
    ]
    assert calibrated_error(confidence, 1) == pytest.approx(np.mean(errors), rel=0.1)


def test_a_perfect_classifier_has_no_interval_of_nothing(runtime: Runtime) -> None:
    labels = np.arange(12) % 2
    outputs = torch.eye(2)[torch.from_numpy(labels)]
    found = Metrics(tuple(supervised_metrics(outputs, make_data(labels, labels, ("a", "b")), runtime)))
    assert found.get("accuracy", "test").value == 1
    low, high = found.get("accuracy", "test").interval or (0, 0)
    assert 0.7 < low < 0.8
    assert high == 1
    assert found.get("macro_f1", "test").interval is None
    assert found.get("nll", "test").value == pytest.approx(0)
    assert all(math.isfinite(row.value) for row in found)


def test_nothing_to_test_on_gives_nothing(runtime: Runtime) -> None:
    labels = np.arange(6) % 2
    unlabelled = np.full(4, -1)
    assert supervised_metrics(torch.full((4, 2), 0.5), make_data(labels, unlabelled, ("a", "b")), runtime) == []
    assert supervised_tables(torch.full((4, 2), 0.5), make_data(labels, unlabelled, ("a", "b"))) == []


def test_without_training_images_there_are_no_baselines(runtime: Runtime) -> None:
    labels = np.arange(6) % 2
    data = make_data(labels[:0], labels, ("a", "b"))
    found = supervised_metrics(probabilities(labels, 2), data, runtime)
    assert all(not row.baselines for row in found if row.name != "ece")
    assert all(tuple(row.baselines) == row.bounds for row in found)  # no classifier can be better calibrated


def test_outputs_of_another_shape_are_refused(runtime: Runtime) -> None:
    labels = np.arange(6) % 2
    with pytest.raises(ValueError, match="probabilities for 6 images of 2 classes"):
        supervised_metrics(torch.zeros(6, 3), make_data(labels, labels, ("a", "b")), runtime)


def test_the_table_of_classes_equals_scikit_learn(case: tuple[ImageData, np.ndarray, torch.Tensor]) -> None:
    data, test, outputs = case
    known = test >= 0
    answers = outputs.numpy()[known].argmax(1)
    theirs = precision_recall_fscore_support(test[known], answers, labels=range(12), zero_division=0)
    (table,) = supervised_tables(outputs, data)
    assert [row["class"] for row in table.rows] == list(NAMES)
    for column, values in zip(("precision", "recall", "F1", "images"), theirs, strict=True):
        assert [row[column] for row in table.rows] == pytest.approx(list(values))


def test_costs_are_figures_too(runtime: Runtime) -> None:
    labels = np.arange(6) % 2
    data = make_data(labels, labels, ("a", "b"))
    costs = Costs(trainable=1026, parameters=23_509_058, seconds=1.5)
    rows = supervised_metrics(probabilities(labels, 2), data, runtime, costs=costs)[-2:]
    assert [(row.name, row.value, row.unit) for row in rows] == [
        ("trainable_parameters", 1026, ""), ("training_seconds", 1.5, "s"),
    ]  # fmt: skip
    assert rows[0].note == "of 23,509,058"


@pytest.mark.parametrize(("height", "width"), [(224, 224), (40, 70), (100, 30), (8, 8), (1, 64)])
def test_small_pixels_are_the_means_of_blocks(height: int, width: int) -> None:
    raw = np.random.default_rng(0).integers(0, 256, (3, 2, height, width)).astype(np.uint8)
    small = block_means(raw)
    factor = math.ceil(max(height, width) / 32)
    assert max(small.shape[2:]) <= 32
    block = (min(factor, height), min(factor, width))
    pooled = torch.nn.functional.avg_pool2d(torch.from_numpy(raw).float(), block) / 255
    assert torch.allclose(torch.from_numpy(small), pooled[:, :, : small.shape[2], : small.shape[3]], atol=1e-6)
    deep = block_means(raw.astype(np.float32) / 255)
    assert np.allclose(deep, small, atol=1e-6)


def test_neighbours_are_labelled_training_images() -> None:
    random = np.random.default_rng(0)
    data = make_data(random.integers(-1, 3, 50), random.integers(0, 3, 10), ("a", "b", "c"))
    known = data.train.labels.numpy() >= 0
    found = nearest(data.train, known, data.test, np.ones(10, dtype=bool))
    assert found.shape == (10, 5)
    assert known[found].all()


def test_five_neighbours_of_a_thousand_large_images_take_a_second() -> None:
    labels = np.arange(500) % 2
    data = make_data(labels, labels, ("a", "b"), side=224)
    started = time.process_time()
    nearest(data.train, labels >= 0, data.test, labels >= 0)
    assert time.process_time() - started < 2  # 0.3 s on a machine with nothing else to do
