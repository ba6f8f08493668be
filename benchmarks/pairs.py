"""What the runtime's benchmarks share: training by `fit` and by a plain loop in turns, epoch by epoch."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from dlkit.data.data import Resident, Split
from dlkit.options import TrainOptions
from dlkit.runtime import Batch, Runtime

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
"""CPU time of the whole process is steadier where other programs run at the same time."""


@dataclass
class TurnTaking:
    """A run that, whenever `fit` has finished an epoch, runs one of the plain loop, and times both.

    What is next to each other in time suffers the same from whatever else the machine does.
    """

    path: Path
    plain_epoch: Callable[[], None]
    clock: Callable[[], float]
    ours: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    since: float = 0.0

    def record(self, row: Mapping[str, Any]) -> None:
        """Nothing is kept."""

    def metrics_position(self) -> int:
        """Nothing is written."""
        return 0

    def cut_metrics(self, position: int) -> None:
        """Nothing to cut."""

    def checkpoint_path(self, phase: str, which: str) -> Path:
        """One file per phase."""
        return self.path / f"{phase}-{which}.safetensors"

    def epoch_ended(self, *_: object) -> None:
        """The plain loop's turn."""
        ended = self.clock()
        self.ours.append(ended - self.since)
        self.plain_epoch()
        self.since = self.clock()
        self.plain.append(self.since - ended)


def measure(
    runtime: Runtime,
    images: Tensor,
    options: TrainOptions,
    state: Mapping[str, Any],
    step: Callable[[Batch], Mapping[str, Tensor]],
    plain_epoch: Callable[[], None],
    clock: str,
) -> tuple[list[float], list[float]]:
    """Seconds of each epoch of fit and of the plain epoch after it, without the first pair."""
    with tempfile.TemporaryDirectory() as path:
        turns = TurnTaking(Path(path), plain_epoch, CLOCKS[clock])
        split = Split("train", Resident(images), None, None)
        runtime.fit(turns, phase="main", data=split, options=options, state=state, step=step)
    return turns.ours[1:], turns.plain[1:]
