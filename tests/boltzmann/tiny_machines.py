"""Machines that are small enough to sum over all their states."""

from __future__ import annotations

from typing import Any

import torch
from dlkit_builtin.boltzmann.machine import Machine
from dlkit_builtin.boltzmann.partition import binary_states
from torch import Tensor


def tiny(visible: int = 5, hidden: int = 4, *, gaussian: bool = False, spread: float = 1.0, seed: int = 0) -> Machine:
    """With weights and biases drawn from N(0, spread²)."""
    machine = Machine(visible, hidden, gaussian=gaussian)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in machine.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)
    return machine.requires_grad_(requires_grad=False)


def states(units: int) -> Tensor:
    """All of them, ``(2^units, units)`` float32."""
    return binary_states(units, 0, 2**units).float()


def energies(machine: Machine) -> Tensor:
    """E(v, h) of all states by the definition, float64 ``(2^V, 2^H)``."""
    v, h = states(len(machine.visible_bias)).double(), states(len(machine.hidden_bias)).double()
    a, c, w = (p.double() for p in (machine.visible_bias, machine.hidden_bias, machine.weight))
    return -(v @ a)[:, None] - (h @ c)[None] - v @ w.t() @ h.t()


def joint(machine: Machine) -> Tensor:
    """p(v, h) of all states, float64 ``(2^V, 2^H)``."""
    return torch.softmax(-energies(machine).flatten(), 0).view(2 ** len(machine.visible_bias), -1)


class Nowhere:
    """A run that keeps checkpoints in a folder, and nothing else."""

    def __init__(self, path: Any) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []

    def record(self, row: Any) -> None:
        """Keep it."""
        self.rows.append(dict(row))

    def metrics_position(self) -> int:
        """Rows so far."""
        return len(self.rows)

    def cut_metrics(self, position: int) -> None:
        """Forget the others."""
        del self.rows[position:]

    def checkpoint_path(self, phase: str, which: str) -> Any:
        """One file per phase."""
        return self.path / f"{phase}-{which}.safetensors"

    def epoch_ended(self, *_: object) -> None:
        """Nothing."""
