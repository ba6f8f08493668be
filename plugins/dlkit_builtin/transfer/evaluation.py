"""Figures of a transferred network on held-out images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dlkit.features import extract, side_by_side
from dlkit.metrics import Metrics, Row, Table
from dlkit.runtime import count_parameters
from dlkit.supervised.metrics import Costs, supervised_metrics, supervised_tables

if TYPE_CHECKING:
    from dlkit.data import ImageData, Split
    from dlkit.runtime import Runtime
    from dlkit_builtin.transfer.technique import Transfer


def evaluate(technique: Transfer, data: ImageData, runtime: Runtime) -> Metrics:
    """Figures beside their baselines, and what training took."""
    outputs = outputs_of(technique, data.held_out, runtime)
    network = technique.network
    # The source's classifier is kept with the network, but takes no part in its answers.
    total = sum(count_parameters(network)) - sum(count_parameters(network.backbone.classifier or nn.Identity()))
    costs = Costs(trainable=technique.trainable, parameters=total, seconds=technique.seconds)
    rows = supervised_metrics(outputs, data, runtime, costs=costs)
    return Metrics(tuple(rows), (*supervised_tables(outputs, data), *evidence_tables(technique)))


def evidence_tables(technique: Transfer) -> Iterator[Table]:
    """What ``auto`` found of each strategy, with its reasons, and what is known of each stage."""
    advice = technique.advice
    if advice is not None:
        rows = tuple(_candidate(candidate) for candidate in advice["candidates"])
        title = f"Why {technique.strategy}: strategies by cross-validation on the training images"
        note = " ".join([*advice["reasons"], "Expected gain: points over the linear probe."])
        yield Table(name="strategies", title=title, rows=rows, note=note)
    if technique.stages:
        rows = tuple(_stage(stage) for stage in technique.stages)
        yield Table(name="stages", title="Stages, by cross-validation on the training images", rows=rows)


def _candidate(candidate: Mapping[str, Any]) -> Row:
    tried, expected = candidate["value"] is not None, candidate.get("expected")
    return {
        "strategy": candidate["strategy"],
        "value": f"{candidate['value']:.3f}" if tried else "",
        "95 % interval": between(candidate["interval"]) if tried else "",
        "images": candidate["images"],
        "expected gain": "" if expected is None else f"{100 * expected:+.1f}",
        "seconds": f"{candidate['seconds']:.0f}" if candidate["seconds"] else "",
        "note": candidate["note"],
    }


def _stage(stage: Mapping[str, Any]) -> Row:
    return {
        "stage": stage["stage"],
        "linear probe": f"{stage['probe']:.3f}",
        "95 % interval": between(stage["probe_interval"]),
        "5 nearest neighbours": f"{stage['neighbours']:.3f}",
        "LogME": f"{stage['logme']:.3f}",
        "H-score": "" if stage["h_score"] is None else f"{stage['h_score']:.2f}",
    }


def between(bounds: Sequence[float]) -> str:
    """An interval, as it is written, which is not broken over lines."""
    return f"{bounds[0]:.3f}\u00a0–\u00a0{bounds[1]:.3f}"


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
