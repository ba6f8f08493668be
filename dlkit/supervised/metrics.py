"""Figures of every technique that learns from labels, whatever the labels say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from dlkit.metrics import Metric, Table
from dlkit.supervised.classification import class_table, classification_metrics
from dlkit.supervised.multilabel import label_table, multilabel_metrics
from dlkit.supervised.regression import regression_metrics

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.runtime import Runtime

_METRICS = {"classes": classification_metrics, "multi-label": multilabel_metrics, "number": regression_metrics}


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What training took.

    Attributes:
        trainable: parameters that were trained; None where they cannot be counted (a forest, neighbours).
        parameters: of the whole network, where that is more to say.
        seconds: of training; None where it was not measured.
    """

    trainable: int | None
    parameters: int | None = None
    seconds: float | None = None


def supervised_metrics(
    outputs: Tensor, data: ImageData, runtime: Runtime, *, costs: Costs | None = None
) -> list[Metric]:
    """Figures on ``data.held_out`` beside their baselines, of what ``data.spec.target`` says labels are.

    Args:
        outputs: float32 ``(N, K)`` on the CPU, a row for each image of ``data.held_out`` in order: probabilities of
            classes, or of each label, or numbers in their own units. Images without a label are left out.
        data: what the model was trained on (``train``, for the baselines) and is tested on.
        runtime: seeds the bootstrap.
        costs: added as figures, where given.

    Raises:
        ValueError: outputs that do not fit the data.
        DataError: an image cannot be read any more.
    """
    rows = _METRICS[data.spec.target](outputs, data, runtime)
    return [*rows, *([] if costs is None else _cost_rows(costs))]


def supervised_tables(outputs: Tensor, data: ImageData) -> list[Table]:
    """A row for each class, or each label; nothing for numbers. Arguments as :func:`supervised_metrics`."""
    if data.spec.target == "classes":
        return class_table(outputs, data)
    return label_table(outputs, data) if data.spec.target == "multi-label" else []


def _cost_rows(costs: Costs) -> list[Metric]:
    note = "" if costs.parameters is None else f"of {costs.parameters:,}"
    rows = []
    if costs.trainable is not None:
        rows.append(Metric(name="trainable_parameters", label="trainable parameters", value=float(costs.trainable),
                           split="train", better="lower", note=note))  # fmt: skip
    if costs.seconds is not None:
        rows.append(Metric(name="training_seconds", label="training", value=costs.seconds, split="train", unit="s",
                           better="lower"))  # fmt: skip
    return rows
