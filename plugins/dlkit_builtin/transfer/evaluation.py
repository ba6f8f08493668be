"""Figures of a transferred network on held-out images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlkit.features import extract, side_by_side
from dlkit.metrics import Metrics
from dlkit.supervised.metrics import Costs, supervised_metrics, supervised_tables

if TYPE_CHECKING:
    from dlkit.data import ImageData, Split
    from dlkit.runtime import Runtime
    from dlkit_builtin.transfer.technique import Transfer


def evaluate(technique: Transfer, data: ImageData, runtime: Runtime) -> Metrics:
    """Figures beside their baselines, and what training took."""
    outputs = outputs_of(technique, data.held_out, runtime)
    total = sum(parameter.numel() for parameter in technique.network.parameters())
    costs = Costs(trainable=technique.trainable, parameters=total, seconds=technique.seconds)
    rows = supervised_metrics(outputs, data, runtime, costs=costs)
    return Metrics(tuple(rows), tuple(supervised_tables(outputs, data)))


def outputs_of(technique: Transfer, split: Split, runtime: Runtime) -> Tensor:
    """What the network says of a split, ``(N, K)`` on the CPU; from features that are kept, where they are."""
    network = technique.network.eval()
    features = torch.from_numpy(features_of(technique, split, runtime))
    with torch.inference_mode():
        outputs: Tensor = network.objective.activate(network.head(features.to(runtime.device)))
        return outputs.float().cpu()


def features_of(technique: Transfer, split: Split, runtime: Runtime) -> NDArray[np.float32]:
    """The features of a split that the head sees, ``(N, D)``; figures and pictures want the same ones."""
    if split not in technique.kept:
        network = technique.network.eval()
        found = extract(network.backbone, split, network.taps, runtime, technique.options)
        technique.kept[split] = side_by_side(found, network.taps)
    features: NDArray[np.float32] = technique.kept[split]
    return features
