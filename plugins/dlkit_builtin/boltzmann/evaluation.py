"""Figures of Boltzmann machines: likelihood, free-energy gap, reconstruction, the worth of the code."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dlkit.baselines import PCABaseline, affordable, code_metrics, quality_metrics
from dlkit.metrics import Metric, Metrics
from dlkit_builtin.boltzmann.likelihood import (
    IMAGES,
    Visible,
    described,
    energies,
    likelihood,
    log_probability,
    lower_bound,
    visible_states,
)
from dlkit_builtin.boltzmann.machine import Machine
from dlkit_builtin.boltzmann.partition import log_partition

if TYPE_CHECKING:
    from dlkit.data import ImageData, Split
    from dlkit.runtime import Runtime
    from dlkit_builtin.boltzmann.dbn import Dbn
    from dlkit_builtin.boltzmann.rbm import Rbm
    from dlkit_builtin.boltzmann.stack import Boltzmann

PCA_IMAGES = 20_000
"""At most so many training images fit the PCA."""


def evaluate_rbm(technique: Rbm, data: ImageData, runtime: Runtime) -> Metrics:
    """All figures of an RBM."""
    technique.stack.to(runtime.device).eval()
    machine = technique.machine
    partition = log_partition(machine, technique.options.ais, runtime.generator("log Z"))
    shown = [visible_states(machine, technique.stack.normalize, split, runtime) for split in parts(data)]
    rows = [likelihood(machine, each, partition, runtime) for each in shown]
    rows += gap(machine, shown, runtime)
    return Metrics((*rows, *reconstruction(technique, data, runtime), *code_metrics(technique.encode, data, runtime)))


def evaluate_dbn(technique: Dbn, data: ImageData, runtime: Runtime) -> Metrics:
    """A lower bound on the log-likelihood, beside that of the first machine alone; then as for an RBM."""
    technique.stack.to(runtime.device).eval()
    machines, first = technique.stack.machines, technique.stack.first
    top, alone = (
        log_partition(machine, technique.options.ais, runtime.generator("log Z", index))
        for index, machine in enumerate((machines[-1], first))
    )
    rows = []
    for split in parts(data):
        shown = visible_states(first, technique.stack.normalize, split, runtime)
        note = f"log Z of the top machine {described(top)}"
        row = log_probability(
            lower_bound(machines, shown, top, runtime), shown, first, top.error,
            name="log_likelihood_bound", label="lower bound on the log-likelihood", note=note,
        )  # fmt: skip
        below = {"first machine alone": likelihood(first, shown, alone, runtime).value}
        rows.append(replace(row, baselines={**below, **row.baselines}))
    return Metrics((*rows, *reconstruction(technique, data, runtime), *code_metrics(technique.encode, data, runtime)))


def parts(data: ImageData) -> list[Split]:
    """The held-out split and the training split, those that there are."""
    return [split for split in dict.fromkeys((data.held_out, data.train)) if len(split)]


def gap(machine: Machine, shown: list[Visible], runtime: Runtime) -> list[Metric]:
    """Mean free energy of held-out images less that of training images (Hinton 2010, section 6)."""
    if len(shown) < 2:
        return []
    held_out, train = (energies(machine, each.units, runtime) for each in shown)
    first, second = train[::2], train[1::2]
    value = float(held_out.mean() - train.mean())
    half = 1.96 * math.sqrt(_error(held_out) ** 2 + _error(train) ** 2)
    return [
        Metric(
            name="free_energy_gap",
            label="free-energy gap to training images",
            value=value,
            split=shown[0].name,
            unit="nats",
            better="lower",
            interval=(value - half, value + half),
            baselines={"one half of the training images to the other": float((second.mean() - first.mean()).abs())},
            note=f"{len(held_out):,} held-out and {len(train):,} training images; what is above zero is overfitting",
        )
    ]


def _error(values: Tensor) -> float:
    return float(values.std()) / math.sqrt(len(values)) if len(values) > 1 else 0.0


def reconstruction(technique: Boltzmann, data: ImageData, runtime: Runtime) -> Iterator[Metric]:
    """One step up and one down, beside PCA of the code's size and the mean training image."""
    shape = technique.stack.shape
    others: dict[str, Callable[[Tensor], Tensor]] = {}
    if len(data.train):
        some = data.train.pixels(torch.arange(min(len(data.train), affordable(PCA_IMAGES, shape))))
        pca, mean = PCABaseline(some, len(technique.stack.top.hidden_bias)), some.mean(0)
        others[f"PCA, {pca.components} components"] = pca.reconstruct
        others["mean training image"] = lambda images: mean.expand_as(images)
    for split in parts(data):
        few = split.subset(torch.arange(min(len(split), affordable(IMAGES, shape))))
        images, restored = few.pixels(), runtime.collect(technique.reconstruct, few)
        beside = {name: restore(images) for name, restore in others.items()}
        note = f"mean over {len(images):,} images"
        yield from quality_metrics(restored, images, beside, split=split.name, note=note)
