"""Log-likelihoods of images under a machine, with what they rest on: log Z, and what a pixel's value means."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from dlkit.metrics import Metric
from dlkit_builtin.boltzmann.machine import Machine, draw
from dlkit_builtin.boltzmann.partition import Partition

if TYPE_CHECKING:
    from dlkit.data import Split
    from dlkit.runtime import Runtime

IMAGES = 10_000
"""At most so many images of a split are looked at."""


@dataclass(frozen=True)
class Visible:
    """Some images of one split as states of visible units, ``(N, V)`` float32 on the CPU.

    Attributes:
        name: of the split.
        units: of Bernoulli units 0 or 1, each pixel drawn once with its grey value as probability.
        grey: the same undrawn.
    """

    name: str
    units: Tensor
    grey: Tensor


def visible_states(machine: Machine, prepare: Callable[[Tensor], Tensor], split: Split, runtime: Runtime) -> Visible:
    """At most 10,000 images, the first ones, always with the same draws."""
    few = split if len(split) <= IMAGES else split.subset(torch.arange(IMAGES))
    grey = runtime.collect(lambda images: machine.units(prepare(images)), few)
    generator = runtime.generator("binary pixels", split.name, device="cpu")
    return Visible(split.name, grey if machine.gaussian else draw(grey, generator), grey)


def likelihood(machine: Machine, shown: Visible, partition: Partition, runtime: Runtime) -> Metric:
    """Mean log p(v), beside the independent-pixels model; the interval holds both errors, of log Z and of the mean."""
    logs = -energies(machine, shown.units, runtime) - partition.value + log_volume(machine)
    return log_probability(
        logs, shown, machine, partition.error, name="log_likelihood", label="log-likelihood",
        note=f"log Z {described(partition)}",
    )  # fmt: skip


def lower_bound(machines: Sequence[Machine], shown: Visible, partition: Partition, runtime: Runtime) -> Tensor:
    """A lower bound on log p(v) of stacked machines, float64 ``(N,)`` (Salakhutdinov and Murray 2008, section 5).

    With h drawn on the way up from Q(h | v), once for each image, it is the mean over images of

        log p(v | h¹) + … + log p(hᴸ⁻² | hᴸ⁻¹) + log p(hᴸ⁻¹) − log Q(h¹ | v) − … − log Q(hᴸ⁻¹ | hᴸ⁻²)
    """
    generator, parts = runtime.generator("lower bound", shown.name), []
    with runtime.inference():
        for start in range(0, len(shown.units), 1_000):
            below = shown.units[start : start + 1_000].to(runtime.device)
            total = torch.full((len(below),), -partition.value, dtype=torch.float64, device=below.device)
            for machine in machines[:-1]:
                above = machine.hidden(below)
                states = draw(above, generator)
                total += _log_visible(machine, below, states) - _log_hidden(machine, below, states)
                below = states
            parts.append((total - machines[-1].free_energy(below)).cpu())
    return torch.cat(parts) + log_volume(machines[0])


def _log_visible(machine: Machine, visible: Tensor, hidden: Tensor) -> Tensor:
    """log p(v | h), ``(B,)``."""
    mean = F.linear(hidden, machine.weight.t(), machine.visible_bias)
    if machine.gaussian:
        return -0.5 * (visible - mean).square().sum(1) - 0.5 * visible.shape[1] * math.log(2 * math.pi)
    return -F.binary_cross_entropy_with_logits(mean, visible, reduction="none").sum(1)


def _log_hidden(machine: Machine, visible: Tensor, hidden: Tensor) -> Tensor:
    """log p(h | v), ``(B,)``."""
    activity = F.linear(visible, machine.weight, machine.hidden_bias)
    return -F.binary_cross_entropy_with_logits(activity, hidden, reduction="none").sum(1)


def log_probability(
    logs: Tensor, shown: Visible, machine: Machine, error: float, *, name: str, label: str, note: str
) -> Metric:
    """A mean of nats per image as a metric; ``error``: the standard error of what is common to all of them."""
    mean, count = float(logs.mean()), len(logs)
    spread = math.hypot(error, float(logs.std()) / math.sqrt(count)) if count > 1 else error
    kind = "densities of pixel values" if machine.gaussian else "pixels drawn as 0 or 1"
    return Metric(
        name=name,
        label=label,
        value=mean,
        split=shown.name,
        unit="nats",
        better="higher",
        interval=(mean - 1.96 * spread, mean + 1.96 * spread),
        baselines={"independent pixels": float(independent(machine, shown.units).mean())},
        note=f"per image, {count:,} images, {kind}; {note}",
    )


def described(partition: Partition) -> str:
    """``= 12.34, exact``."""
    if partition.error == 0:
        return f"= {partition.value:.2f}, {partition.how}"
    low, high = partition.interval
    return f"= {partition.value:.2f} ({low:.2f} to {high:.2f}), {partition.how}"


def energies(machine: Machine, units: Tensor, runtime: Runtime, size: int = 1_000) -> Tensor:
    """F(v) for ``(N, V)`` on the CPU → float64 ``(N,)`` on the CPU."""
    with runtime.inference():
        starts = range(0, len(units), size)
        parts = (units[start : start + size].to(runtime.device) for start in starts)
        return torch.cat([machine.free_energy(part).double().cpu() for part in parts])


def independent(machine: Machine, units: Tensor) -> Tensor:
    """log p(v) of the model with W = 0 whose biases are those of the training data; float64 ``(N,)``."""
    base, states = machine.base.cpu().double(), units.double()
    if machine.gaussian:
        logs = -0.5 * states.square().sum(1) - 0.5 * units.shape[1] * math.log(2 * math.pi)
        return logs + log_volume(machine)
    return states @ base - F.softplus(base).sum()


def log_volume(machine: Machine) -> float:
    """What turns the density of Gaussian units into that of inputs: −V log(scale)."""
    return -len(machine.base) * math.log(float(machine.scale)) if machine.gaussian else 0.0
