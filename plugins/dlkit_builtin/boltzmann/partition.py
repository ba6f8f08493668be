"""log Z of a machine: by enumeration where its smaller layer allows it, else by annealed importance sampling.

Annealed importance sampling (Neal 2001; Salakhutdinov and Murray 2008, section 3.1) carries chains from the
independent-pixels model, whose Z is known, to the machine through

    p_β(v) ∝ exp((1 − β) b·v + β a·v) Π_j (1 + exp(β (c_j + W_j·v))),    0 = β_0 < … < β_K = 1

with b the base biases. The weight of a chain, Π_k p*_{β_k}(v_k) / p*_{β_{k−1}}(v_k), estimates Z / Z_0 without bias.
For Gaussian units −½ ‖v − b‖² and −½ ‖v − a‖² take the places of b·v and a·v.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from dlkit_builtin.boltzmann.machine import Machine, draw

ENUMERABLE = 20
"""A layer of at most so many units is summed out state by state: a million of them."""
CHAINS = 100
"""Of annealed importance sampling, as in Salakhutdinov and Murray 2008."""
_CHUNK = 2**13
_LADDER = ((0.5, 500), (0.9, 4_000), (1.0, 10_000))
"""Up to which β how many of 14,500 distributions lie, evenly (Salakhutdinov and Murray 2008, section 4.1)."""


@dataclass(frozen=True)
class Partition:
    """log Z in nats.

    Attributes:
        value: exact, or the estimate.
        error: standard error of the estimate; 0 where it is exact.
        how: in words.
    """

    value: float
    error: float
    how: str

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, by the normal approximation of log Ẑ."""
        return self.value - 1.96 * self.error, self.value + 1.96 * self.error


@torch.no_grad()
def log_partition(machine: Machine, steps: int, generator: Generator) -> Partition:
    """Exact where a layer has at most 20 units, else by 100 chains through ``steps`` distributions."""
    hidden, visible = machine.weight.shape
    if hidden <= ENUMERABLE or (visible <= ENUMERABLE and not machine.gaussian):
        return Partition(exact(machine), 0.0, "exact")
    return annealed(machine, steps, CHAINS, generator)


@torch.no_grad()
def exact(machine: Machine) -> float:
    """By the sum over all states of the smaller layer (the hidden one, of a machine with Gaussian units)."""
    hidden, visible = machine.weight.shape
    by_hidden = machine.gaussian or hidden <= visible
    units = hidden if by_hidden else visible
    total = torch.tensor(-math.inf, dtype=torch.float64)
    for start in range(0, 2**units, _CHUNK):
        states = binary_states(units, start, min(start + _CHUNK, 2**units)).to(machine.weight)
        logs = log_hidden(machine, states) if by_hidden else -machine.free_energy(states)
        total = torch.logaddexp(total, logs.double().logsumexp(0).cpu())
    return float(total)


def binary_states(units: int, start: int, end: int) -> Tensor:
    """The states of that many units with the numbers ``start`` to ``end`` in binary, ``(end − start, units)``."""
    return (torch.arange(start, end)[:, None] >> torch.arange(units)) & 1


def log_hidden(machine: Machine, hidden: Tensor) -> Tensor:
    """log Σ_v exp(−E(v, h)), or the integral over v: ``(B, H)`` → ``(B,)``."""
    drive = hidden @ machine.weight  # (B, V)
    own = hidden @ machine.hidden_bias
    if machine.gaussian:
        # ∫ exp(−½ ‖v − a‖² + d·v) dv = (2π)^{V/2} exp(d·a + ½ ‖d‖²)
        gain = drive @ machine.visible_bias + 0.5 * drive.square().sum(1)
        return own + gain + 0.5 * drive.shape[1] * math.log(2 * math.pi)
    return own + F.softplus(drive + machine.visible_bias).sum(1)


@torch.no_grad()
def annealed(machine: Machine, steps: int, chains: int, generator: Generator) -> Partition:
    """By ``chains`` chains through ``steps`` distributions."""
    ladder = temperatures(steps)
    visible = machine.noise(chains, generator)
    weights = torch.zeros(chains, dtype=torch.float64, device=visible.device)
    for before, now in pairwise(ladder):
        activity = F.linear(visible, machine.weight, machine.hidden_bias)
        hidden = F.softplus(now * activity) - F.softplus(before * activity)
        weights += hidden.sum(1).double() + (now - before) * _bias_gain(machine, visible)
        states = draw(torch.sigmoid(now * activity), generator)
        visible = _visible_at(machine, states, now, generator)
    value = log_base(machine) + float(weights.logsumexp(0)) - math.log(chains)
    relative = torch.softmax(weights, 0) * chains
    error = float(relative.std()) / math.sqrt(chains)
    return Partition(value, error, f"annealed importance sampling, {chains} chains × {steps:,} distributions")


def temperatures(steps: int) -> list[float]:
    """0 = β_0 < … < β_K = 1 with K = ``steps``, spaced like those of Salakhutdinov and Murray 2008."""
    whole = sum(count for _, count in _LADDER)
    ladder, low, done = [0.0], 0.0, 0
    for high, count in _LADDER:
        done += count
        part = round(steps * done / whole) - len(ladder) + 1
        ladder += [low + (high - low) * (index + 1) / part for index in range(part)]
        low = high if part else low  # a stretch too short for a step of its own is part of the next one
    return ladder


def log_base(machine: Machine) -> float:
    """log Z of the independent-pixels model with H hidden units that do nothing."""
    hidden, visible = machine.weight.shape
    own = 0.5 * visible * math.log(2 * math.pi) if machine.gaussian else float(F.softplus(machine.base).double().sum())
    return own + hidden * math.log(2)


def _bias_gain(machine: Machine, visible: Tensor) -> Tensor:
    """The exponent of the visible units alone, in the machine less in the base model; ``(B,)`` float64."""
    if machine.gaussian:
        here, there = visible - machine.visible_bias, visible - machine.base
        return 0.5 * (there.square() - here.square()).sum(1).double()
    return (visible @ (machine.visible_bias - machine.base)).double()


def _visible_at(machine: Machine, hidden: Tensor, beta: float, generator: Generator) -> Tensor:
    drive = (1 - beta) * machine.base + beta * F.linear(hidden, machine.weight.t(), machine.visible_bias)
    if machine.gaussian:
        return drive + torch.randn(drive.shape, generator=generator, device=drive.device)
    return draw(torch.sigmoid(drive), generator)
