"""The learning rate of each step, in all optimizers of a phase."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.optim import Optimizer

from dlkit.options import TrainOptions
from dlkit.runtime.schedule import factor_at, warmup_at

if TYPE_CHECKING:
    from dlkit.runtime.runtime import Runtime


class Rates:
    """Sets rates as the options' schedule has them.

    Args:
        runtime: whose ``learning_rate`` is set too.
        options: ``lr``, ``schedule``, ``warmup``.
        optimizers: each group keeps the rate that it comes with as ``initial_lr``.
    """

    def __init__(self, runtime: Runtime, options: TrainOptions, optimizers: Sequence[Optimizer]) -> None:
        self.runtime, self.options = runtime, options
        self.optimizers = optimizers
        for group in self._groups():
            group.setdefault("initial_lr", group["lr"])
        self.factor = math.nan  # so that the first step sets the rate, whatever the optimizers come with

    def check(self, phase: str, epochs: int, horizon: float) -> None:
        """Warn of epochs that the schedule has nothing to say about."""
        schedule = self.options.schedule
        if schedule.has_horizon and epochs > horizon:
            self.runtime.warn(
                f"The schedule {schedule} of phase {phase!r} ends at epoch {horizon}; "
                f"later epochs keep its last learning rate. To stretch it, restate it: --schedule {schedule}."
            )

    def set(self, time: float, step: float, horizon: float) -> None:
        """For the step that begins ``time`` epochs after the start and lasts ``step`` of an epoch."""
        factor, warmup = factor_at(self.options.schedule, time, horizon), self.options.warmup
        if warmup > time:
            factor *= warmup_at(warmup, time, step)
        if factor == self.factor:
            return
        self.factor = factor
        self.runtime.learning_rate = self.options.lr * factor
        for group in self._groups():
            rate = group["initial_lr"] * factor
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def now(self) -> float:
        """Of the first group, or the options' own where there is none."""
        return next((float(group["lr"]) for group in self._groups()), self.runtime.learning_rate)

    def _groups(self) -> Iterator[dict[str, Any]]:
        """Restoring an optimizer gives it new ones, so they are not kept."""
        return (group for optimizer in self.optimizers for group in optimizer.param_groups)
