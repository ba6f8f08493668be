"""Figures of a classifier on held-out images: accuracy, macro-F1, calibration, likelihood, and a row for each class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from dlkit.baselines import wilson_interval
from dlkit.metrics import Metric, Row, Table
from dlkit.supervised.bootstrap import Floats, Weights, percentile_interval, resampled
from dlkit.supervised.calibration import basic_interval, calibrated_error, expected_calibration_error
from dlkit.supervised.pixels import NEIGHBOURS, nearest

if TYPE_CHECKING:
    from dlkit.data import ImageData, Split
    from dlkit.runtime import Runtime

Labels = NDArray[np.int64]

TOP_5_FROM = 10
"""With fewer classes than this, the right one is among five too often for the figure to say much."""
CALIBRATED = "perfectly calibrated, as few images"
EPSILON = float(np.finfo(np.float32).eps)
"""Probabilities below this count as this in the likelihood, as in scikit-learn's ``log_loss``."""


@dataclass(frozen=True)
class Predicted:
    """A classifier's answers on the labelled held-out images.

    Attributes:
        split: where they are from.
        rows: ``(N,)``, which images of it.
        labels: ``(N,)``, the right classes.
        probabilities: float64 ``(N, K)``.
    """

    split: Split
    rows: Labels
    labels: Labels
    probabilities: Floats

    @property
    def answers(self) -> Labels:
        """The most probable classes, ``(N,)``."""
        answers: Labels = self.probabilities.argmax(1)
        return answers

    @property
    def confidence(self) -> Floats:
        """Their probabilities, ``(N,)``."""
        return np.asarray(self.probabilities.max(1))

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether they are right, ``(N,)``."""
        return np.asarray(self.answers == self.labels)


def predicted(probabilities: Tensor, data: ImageData) -> Predicted | None:
    """Probabilities ``(N, K)``, one row for each image of ``data.held_out``, matched with the labels that there are.

    None where no held-out image has a label.

    Raises:
        ValueError: another number of rows or columns.
    """
    split = data.held_out
    if probabilities.shape != (len(split), len(data.spec.classes)):
        raise ValueError(
            f"{tuple(probabilities.shape)} probabilities for {len(split)} images of {len(data.spec.classes)} classes"
        )
    if split.labels is None:
        return None
    rows = np.flatnonzero(split.labels.numpy() >= 0)
    if len(rows) == 0:
        return None
    return Predicted(split, rows, split.labels.numpy()[rows], probabilities.double().numpy()[rows])


def classification_metrics(probabilities: Tensor, data: ImageData, runtime: Runtime) -> list[Metric]:
    """Figures of class probabilities on the held-out images, beside the majority class and kNN on pixels.

    Accuracies have Wilson's interval, which says something also where all answers are right; the others have
    bootstrap intervals.

    Args:
        probabilities: float32 ``(N, K)`` on the CPU, one row for each image of ``data.held_out``, in order.
        data: what the classifier was trained and is tested on; baselines are fitted on ``data.train``.
        runtime: seeds the bootstrap.

    Returns:
        ``accuracy``, ``top5_accuracy`` (from ten classes on), ``macro_f1``, ``ece``, ``nll``; nothing where no
        held-out image has a label.
    """
    found = predicted(probabilities, data)
    if found is None:
        return []
    seed = runtime.derive("classification figures")
    rows = [_accuracy(found), *_top5(found), *_others(found, seed)]
    baselines = _baselines(found, data)
    return [replace(row, baselines={**row.baselines, **baselines.get(row.name, {})}) for row in rows]


def _accuracy(found: Predicted) -> Metric:
    return _share("accuracy", "accuracy (top-1)", found.correct, found, note=f"{len(found.rows):,} images")


def _top5(found: Predicted) -> list[Metric]:
    if found.probabilities.shape[1] < TOP_5_FROM:
        return []
    return [_share("top5_accuracy", "top-5 accuracy", _among_first(found.probabilities, found.labels), found)]


def _among_first(scores: Floats, labels: Labels, k: int = 5) -> NDArray[np.bool_]:
    """Whether the right class is among the ``k`` with the highest scores; of equal ones the first class wins."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.asarray((order == labels[:, None]).any(1))


def _share(name: str, label: str, hits: NDArray[np.bool_], found: Predicted, note: str = "") -> Metric:
    value = float(hits.mean())
    return Metric(
        name=name, label=label, value=value, split=found.split.name, better="higher", note=note,
        interval=wilson_interval(value, len(hits)),
    )  # fmt: skip


def _others(found: Predicted, seed: int) -> list[Metric]:
    surprise = negative_log_likelihoods(found.probabilities, found.labels)
    count = len(found.labels)
    statistics: dict[str, Callable[[Weights], Floats]] = {
        "macro_f1": partial(macro_f1, answers=found.answers, labels=found.labels),
        "ece": partial(expected_calibration_error, confidence=found.confidence, correct=found.correct),
        "nll": lambda weights: weights @ surprise / count,
    }
    drawn = resampled(statistics, count, seed)
    value = {name: float(statistic(np.ones((1, count)))[0]) for name, statistic in statistics.items()}
    split = found.split.name
    ece = Metric(
        name="ece", label="calibration error (ECE)", value=value["ece"], split=split, better="lower",
        interval=basic_interval(value["ece"], drawn["ece"]), note="15 bins of equal width",
        baselines={CALIBRATED: calibrated_error(found.confidence, seed)}, bounds=(CALIBRATED,),
    )  # fmt: skip
    f1 = Metric(name="macro_f1", label="macro-F1", value=value["macro_f1"], split=split, better="higher",
                interval=percentile_interval(drawn["macro_f1"]))  # fmt: skip
    nll = Metric(name="nll", label="negative log-likelihood", value=value["nll"], split=split, better="lower",
                 interval=percentile_interval(drawn["nll"]), unit="nats")  # fmt: skip
    return [f1, ece, nll]


def negative_log_likelihoods(probabilities: Floats, labels: Labels) -> Floats:
    """−log p of the right class, ``(N,)``, p at least :data:`EPSILON`."""
    right = probabilities[np.arange(len(labels)), labels]
    return np.asarray(-np.log(np.clip(right, EPSILON, 1)))


def class_counts(weights: Weights, answers: Labels, labels: Labels) -> tuple[Floats, Floats, Floats]:
    """Images of each class, answers of each class, and right answers of each class, ``(R, K)`` each."""
    classes = int(max(answers.max(), labels.max())) + 1
    place = np.arange(len(labels))

    def summed(columns: Labels, values: NDArray[np.generic]) -> Floats:
        member = csr_array((values.astype(np.float64), (place, columns)), shape=(len(labels), classes))
        return np.asarray(weights @ member)

    ones = np.ones(len(labels))
    return summed(labels, ones), summed(answers, ones), summed(labels, answers == labels)


def macro_f1(weights: Weights, answers: Labels, labels: Labels) -> Floats:
    """F1 = 2 TP / (2 TP + FP + FN), the mean over the classes that occur among a resample's images, ``(R,)``."""
    support, said, right = class_counts(weights, answers, labels)
    scores = 2 * right / np.maximum(support + said, 1)
    occurs = support > 0
    return np.asarray((scores * occurs).sum(1) / occurs.sum(1))


def _baselines(found: Predicted, data: ImageData) -> dict[str, dict[str, float]]:
    """Name of a figure → name of a simpler method → its value; nothing without labelled training images."""
    labels = None if data.train.labels is None else data.train.labels.numpy()
    if labels is None or not (labels >= 0).any():
        return {}
    frequency = np.bincount(labels[labels >= 0], minlength=len(data.spec.classes)) / (labels >= 0).sum()
    constant = np.broadcast_to(frequency, found.probabilities.shape)
    answers = {"majority class": constant.argmax(1)}
    if data.held_out is not data.train:  # whose images would be their own nearest neighbours
        answers[f"{NEIGHBOURS}-NN on pixels"] = _neighbour_answers(found, labels, data.train)
    whole = np.ones((1, len(found.labels)))
    return {
        "accuracy": {name: float((said == found.labels).mean()) for name, said in answers.items()},
        "macro_f1": {name: float(macro_f1(whole, said, found.labels)[0]) for name, said in answers.items()},
        "top5_accuracy": {"five commonest classes": float(_among_first(constant, found.labels).mean())},
        "nll": {"class frequencies": float(negative_log_likelihoods(constant, found.labels).mean())},
    }


def _neighbour_answers(found: Predicted, labels: Labels, train: Split) -> Labels:
    wanted = np.zeros(len(found.split), dtype=np.bool_)
    wanted[found.rows] = True
    votes = np.zeros(found.probabilities.shape)
    for column in nearest(train, labels >= 0, found.split, wanted).T:
        votes[np.arange(len(votes)), labels[column]] += 1
    answers: Labels = votes.argmax(1)
    return answers


def class_table(probabilities: Tensor, data: ImageData) -> list[Table]:
    """Precision, recall, F1 and support of each class; nothing where no held-out image has a label."""
    found = predicted(probabilities, data)
    if found is None:
        return []
    counts = class_counts(np.ones((1, len(found.labels))), found.answers, found.labels)
    support, said, right = (np.pad(each[0], (0, len(data.spec.classes) - each.shape[1])) for each in counts)
    rows: list[Row] = [
        {
            "class": name,
            "precision": float(right[k] / said[k]) if said[k] else 0.0,
            "recall": float(right[k] / support[k]) if support[k] else 0.0,
            "F1": float(2 * right[k] / max(support[k] + said[k], 1)),
            "images": int(support[k]),
            "predicted": int(said[k]),
        }
        for k, name in enumerate(data.spec.classes)
    ]
    return [Table(name="classes", title=f"Each class, {found.split.name} images", rows=tuple(rows))]
