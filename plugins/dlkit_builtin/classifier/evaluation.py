"""The classifier's figures: those of everything that learns from labels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dlkit.metrics import Metric, Metrics
from dlkit.runtime import count_parameters
from dlkit.supervised.metrics import Costs, supervised_metrics, supervised_tables

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.runtime import Runtime
    from dlkit_builtin.classifier.technique import Classifier

SVM_NOTE = "softmax of the scores, which are margins and no likelihoods"
_FROM_PROBABILITIES = ("ece", "nll")


def evaluate(technique: Classifier, data: ImageData, runtime: Runtime) -> Metrics:
    """Figures and tables of the held-out images."""
    outputs = technique.predict(data.held_out, runtime)
    trainable, _ = count_parameters(technique.network)
    costs = Costs(trainable=trainable, seconds=technique.seconds)
    rows = supervised_metrics(outputs, data, runtime, costs=costs)
    if technique.options.loss == "svm":
        rows = [_noted(row) if row.name in _FROM_PROBABILITIES else row for row in rows]
    return Metrics(tuple(rows), tuple(supervised_tables(outputs, data)))


def _noted(row: Metric) -> Metric:
    return replace(row, note=f"{row.note}; {SVM_NOTE}" if row.note else SVM_NOTE)
