"""What keeps a phase of training the same in all processes: clocks, signals, weights, streams of random numbers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from dlkit.errors import TrainingError
from dlkit.runtime.means import FULL
from dlkit.runtime.phase import Position, RunLike
from dlkit.runtime.signals import stop

if TYPE_CHECKING:
    from dlkit.runtime.batches import Feed
    from dlkit.runtime.processes import Processes
    from dlkit.runtime.runtime import Runtime


class Silent:
    """A run as the processes see it that do not lead: they read its checkpoints, and write nothing."""

    def __init__(self, run: RunLike) -> None:
        self.run, self.path = run, run.path

    def record(self, row: Mapping[str, Any]) -> None:
        """The first process does."""

    def metrics_position(self) -> int:
        """Nobody asks."""
        return 0

    def cut_metrics(self, position: int) -> None:
        """The first process does."""

    def checkpoint_path(self, phase: str, which: Literal["last", "best"]) -> Path:
        """Where the first process writes it."""
        return self.run.checkpoint_path(phase, which)


class Together:
    """One phase in all processes. Alone, nothing here does anything.

    Weights and draws of :attr:`Runtime.rng` are the same everywhere. PyTorch's own streams, from which dropout draws,
    go different ways while the phase lasts, since each process sees other rows.

    Args:
        runtime: of this process.
        phase: its name.
        state: what it trains.
    """

    def __init__(self, runtime: Runtime, phase: str, state: Mapping[str, Any]) -> None:
        self.runtime, self.processes, self.phase = runtime, runtime.processes, phase
        self.tensors = list(_tensors(state))
        self.statistics = _statistics(state) if self.processes.count > 1 else []
        self.pause = 1  # steps between two glances
        self.steps, self.glanced = 0, 0.0  # since the last one, and when it was

    def begin(self, position: Position | None) -> None:
        """Start with the same weights, all from the same position.

        Raises:
            TrainingError: the processes found different checkpoints.
        """
        if self.processes.count == 1:
            return
        steps = [int(step) for step in self.processes.each(torch.tensor(-1 if position is None else position.step))]
        if min(steps) < max(steps):
            raise TrainingError(
                f"The processes found different checkpoints of phase {self.phase!r}: at the steps {steps}.",
                "The run's directory must lie on a file system that all nodes share.",
            )
        self.processes.alike(self.tensors)
        if position is None and self.processes.rank > 0:
            torch.manual_seed(self.runtime.derive("process", self.processes.rank, self.phase))

    def end(self) -> None:
        """Go on with the first process's streams."""
        if self.processes.count == 1:
            return
        state = torch.get_rng_state()
        self.processes.alike([state])
        torch.set_rng_state(state)
        if self.runtime.device.type == "cuda":
            state = torch.cuda.get_rng_state(self.runtime.device)
            self.processes.alike([state])
            torch.cuda.set_rng_state(state, self.runtime.device)

    def now(self) -> float:
        """The first process's clock, in seconds."""
        return self.processes.agreed(time.perf_counter())

    def asked_to_stop(self) -> int | None:
        """The signal that has reached any of the processes."""
        return stop.signum if self.processes.count == 1 else self.processes.largest(stop.signum or 0) or None

    def due(self) -> bool:
        """After each step: whether it is time for a glance, which is after the same step everywhere."""
        self.steps += 1
        return self.steps >= self.pause

    def pace(self, now: float, every: float) -> None:
        """At a glance: set after how many steps the next one comes, so that it takes about ``every`` seconds."""
        seconds = now - self.glanced
        self.pause = max(1, min(FULL, round(self.steps * every / seconds) if seconds > 0 else FULL))
        self.steps, self.glanced = 0, now

    def reading(self, feed: Feed) -> Processes | None:
        """Those that read a share of each batch, where any of them cannot hold all images in memory."""
        return self.processes if self.processes.count > 1 and self.processes.largest(feed.resident is None) else None

    def share_statistics(self) -> None:
        """Average what batch norm remembers of the rows that each process has seen."""
        if self.statistics:
            self.processes.mean(self.statistics)


def _tensors(state: Mapping[str, Any]) -> list[Tensor]:
    """Weights, buffers and plain tensors."""
    found: list[Tensor] = []
    for item in state.values():
        if isinstance(item, nn.Module):
            found += [*item.parameters(), *item.buffers()]
        elif isinstance(item, Tensor):
            found.append(item)
    return list({id(tensor): tensor for tensor in found}.values())


def _statistics(state: Mapping[str, Any]) -> list[Tensor]:
    """Means and variances that batch norm in training mode keeps."""
    modules = [part for item in state.values() if isinstance(item, nn.Module) for part in item.modules()]
    norms = {part for part in modules if isinstance(part, _NormBase) and part.training}
    kept = [tensor for part in modules if part in norms for tensor in (part.running_mean, part.running_var)]
    return list({id(tensor): tensor for tensor in kept if tensor is not None}.values())
