"""The stack's figures: those of everything that learns from labels, before and after fine-tuning, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
import torch

from dlkit.baselines import affordable, linear_probe_accuracy, wilson_interval
from dlkit.metrics import Metric, Metrics, Row, Table
from dlkit.runtime import count_parameters
from dlkit.supervised.metrics import Costs, supervised_metrics, supervised_tables
from dlkit.supervised.objective import Inference, labelled
from dlkit_builtin.stacked.network import random_network

if TYPE_CHECKING:
    from torch import Tensor

    from dlkit.data import ImageData, Split
    from dlkit.runtime import Runtime
    from dlkit_builtin.stacked.network import Network
    from dlkit_builtin.stacked.technique import Stacked

FROZEN = "before fine-tuning"
RANDOM, PRETRAINED, TUNED = "random layers", "pretrained, frozen", "after fine-tuning"
PROBE_IMAGES = 2_000
"""At most so many labelled training images fit the linear probes, and so many held-out ones test them."""


def evaluate(technique: Stacked, data: ImageData, runtime: Runtime) -> Metrics:
    """Figures of the held-out images, each beside the same after step 4; and linear probes on each layer."""
    outputs = technique.predict(data.held_out, runtime)
    trainable, _ = count_parameters(technique.network)
    rows = supervised_metrics(outputs, data, runtime, costs=Costs(trainable=trainable, seconds=technique.seconds))
    tables = [*supervised_tables(outputs, data), *_layer_table(probes(technique, data, runtime))]
    frozen = technique.frozen(runtime)
    if frozen is not None:
        rows = _beside(rows, _figures(frozen, data, runtime))
    return Metrics(tuple(rows), tuple(tables))


def _figures(network: Network, data: ImageData, runtime: Runtime) -> dict[str, float]:
    module = Inference(network, network.objective).eval()
    outputs = runtime.collect(lambda images: module(images)[0], data.held_out)
    return {row.name: row.value for row in supervised_metrics(outputs, data, runtime)}


def _beside(rows: list[Metric], before: Mapping[str, float]) -> list[Metric]:
    return [
        replace(row, baselines={FROZEN: before[row.name], **row.baselines}) if row.name in before else row
        for row in rows
    ]


@dataclass(frozen=True)
class Probes:
    """Accuracy of a linear classifier on what each layer gives.

    Attributes:
        layers: names, the pixels first.
        accuracy: which network → accuracy on each of them.
        images: labelled training images that the classifiers were fitted on.
        tested: held-out images.
        split: their split.
    """

    layers: tuple[str, ...]
    accuracy: Mapping[str, tuple[float, ...]]
    images: int
    tested: int
    split: str

    def intervals(self) -> dict[str, list[tuple[float, float, float]]]:
        """Value, lower and upper end of each accuracy."""
        return {
            name: [(value, *wilson_interval(value, self.tested)) for value in values]
            for name, values in self.accuracy.items()
        }


_kept: WeakKeyDictionary[Stacked, tuple[Split, Probes | None]] = WeakKeyDictionary()


def probes(technique: Stacked, data: ImageData, runtime: Runtime) -> Probes | None:
    """Linear probes on each layer of the random, the pretrained and the tuned network; the last ones are remembered.

    None where labels are no classes, or no labelled images are held out.
    """
    known = _kept.get(technique)
    if known is None or known[0] is not data.held_out:
        known = data.held_out, _probed(technique, data, runtime)
        _kept[technique] = known
    return known[1]


def _probed(technique: Stacked, data: ImageData, runtime: Runtime) -> Probes | None:
    if technique.spec.target != "classes" or data.held_out is data.train:
        return None
    train, test = (_some(split, technique, runtime) for split in (data.train, data.held_out))
    if not len(train) or not len(test):
        return None
    networks = {RANDOM: random_network(technique.options, technique.spec, runtime), TUNED: technique.network.eval()}
    frozen = technique.frozen(runtime)
    if frozen is not None:
        networks = {RANDOM: networks[RANDOM], PRETRAINED: frozen, TUNED: networks[TUNED]}
    depths = range(len(technique.network.layers) + 1)
    pixels = _probe(technique.network, 0, train, test, runtime)
    accuracy = {
        name: (pixels, *(_probe(network, depth, train, test, runtime) for depth in depths[1:]))
        for name, network in networks.items()
    }
    names = ("pixels", *(f"layer {depth}" for depth in depths[1:]))
    return Probes(names, accuracy, len(train), len(test), test.name)


def _some(split: Split, technique: Stacked, runtime: Runtime) -> Split:
    """Labelled images, at most as many as are affordable, always the same."""
    known, most = labelled(split), affordable(PROBE_IMAGES, technique.spec.shape)
    if len(known) <= most:
        return known
    order = torch.randperm(len(known), generator=runtime.generator("probes", split.name, device="cpu"))
    return known.subset(order[:most].sort().values)


def _probe(network: Network, depth: int, train: Split, test: Split, runtime: Runtime) -> float:
    def at_depth(images: Tensor) -> Tensor:
        return network.features(images, depth)

    assert train.labels is not None  # noqa: S101 - they are labelled
    assert test.labels is not None  # noqa: S101
    features = [np.ascontiguousarray(runtime.collect(at_depth, split).numpy()) for split in (train, test)]
    return linear_probe_accuracy(features[0], train.labels.numpy(), features[1], test.labels.numpy())


def _layer_table(found: Probes | None) -> Iterator[Table]:
    if found is None:
        return
    rows: list[Row] = [
        {"layer": layer, **{name: values[place] for name, values in found.accuracy.items()}}
        for place, layer in enumerate(found.layers)
    ]
    note = (
        f"Accuracy of logistic regression on a layer's outputs, fitted on {found.images:,} labelled training images, "
        f"tested on {found.tested:,} {found.split} images."
    )
    yield Table(name="layers", title="What a linear classifier reads off each layer", rows=tuple(rows), note=note)
