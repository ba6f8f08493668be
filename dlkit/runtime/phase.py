"""A phase as it is kept: where it stands, how it ended, its checkpoint ``last`` and the weights ``best``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from dlkit.errors import DataError
from dlkit.runtime import state as states
from dlkit.runtime.checkpoint import read_checkpoint, write_checkpoint, write_tensors

if TYPE_CHECKING:
    from dlkit.runtime.runtime import Runtime

Reason = Literal["epochs", "patience", "max_time"]

FORMAT = 1
"""Version of the checkpoint's tree."""


class RunLike(Protocol):
    """What training needs of a run (:class:`dlkit.run.Run` is one)."""

    path: Path

    def record(self, row: Mapping[str, Any]) -> None:
        """Append a row of metrics."""

    def metrics_position(self) -> int:
        """Bytes of metrics written so far."""

    def cut_metrics(self, position: int) -> None:
        """Forget the metrics after a position."""

    def checkpoint_path(self, phase: str, which: Literal["last", "best"]) -> Path:
        """Where a phase's checkpoint lies; its directory exists."""


@dataclass(frozen=True)
class FitResult:
    """How a phase ended.

    Attributes:
        phase: its name.
        epochs: completed ones.
        steps: batches seen.
        seconds: of training, validation and saving, over all processes that had a part in it.
        reason: all epochs done, no improvement for ``patience`` epochs, or ``max_time`` is over.
        best_epoch, best_value: where ``validate`` was given; epochs count from 1.
        resumed: an earlier process began it.
    """

    phase: str
    epochs: int
    steps: int
    seconds: float
    reason: Reason
    best_epoch: int | None
    best_value: float | None
    resumed: bool


@dataclass
class Position:
    """Where a phase stands; all of it plain JSON.

    Attributes:
        horizon: T of the schedule, in epochs.
        epoch: epochs completed.
        batch: batches done of the next epoch.
        step: batches done in the phase.
        sums: figures of the unfinished epoch (:class:`.means.Means`).
        seconds: of training, validation and saving in the phase.
        epoch_seconds: the same of the unfinished epoch.
        best_epoch, best_value: counted from 1; None before the first validation.
        partial_from: where in the metrics the row of an epoch begins that ``max_time`` cut short.
    """

    horizon: int
    epoch: int = 0
    batch: int = 0
    step: int = 0
    sums: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    best_epoch: int | None = None
    best_value: float | None = None
    partial_from: int | None = None

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Position:
        """What a checkpoint says, which may come from anyone.

        Raises:
            TypeError, ValueError, AttributeError: it is no position.
        """
        found = cls(**plain)
        counts = [found.horizon, found.epoch, found.batch, found.step]
        counts += [count for count in (found.best_epoch, found.partial_from) if count is not None]
        times = [found.seconds, found.epoch_seconds, *(each for pair in found.sums.values() for each in pair)]
        times += [] if found.best_value is None else [found.best_value]
        if not all(type(count) is int and count >= 0 for count in counts):
            raise ValueError(f"its position is {counts}")
        numbers = all(type(each) in (int, float) for each in times)
        if not numbers or any(len(pair) != 2 or pair[1] <= 0 for pair in found.sums.values()):
            raise ValueError(f"its times and figures are {times}")
        return found


class PhaseFiles:
    """Saves and loads one phase.

    ``last.safetensors`` is all that resuming needs, the best weights included; ``best.safetensors`` holds these for
    people, ``{module}.{parameter}`` by name. A phase that has only begun has a ``last`` without tensors, so that its
    first rows of metrics can be taken back.

    A checkpoint belongs to the phases before it: where an earlier phase has been trained further since, it no longer
    fits, and the phase starts anew.
    """

    def __init__(self, run: RunLike, phase: str, runtime: Runtime) -> None:
        self.run, self.phase, self.runtime = run, phase, runtime
        self.path = run.checkpoint_path(phase, "last")
        self.best: states.Tree | None = None
        self.new_best = False
        self.metrics = 0

    def begin(self) -> None:
        """Mark the phase as begun."""
        write_checkpoint(self.path, self._head())

    def load(self, state: Mapping[str, Any]) -> Position | None:
        """Restore state and random streams; where the phase stands, or None if it is to start from nothing.

        Raises:
            DataError: the checkpoint is damaged, or is not of this state.
        """
        if not self.path.exists():
            return None
        tree = read_checkpoint(self.path)
        found = tree.get("format") if isinstance(tree, Mapping) else None
        if found != FORMAT:
            raise DataError(f"{self.path}: a checkpoint of format {found!r}, expected {FORMAT}.")
        try:
            return self._restored(state, tree)
        except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise DataError(f"{self.path} does not fit this training: {error}") from error

    def _restored(self, state: Mapping[str, Any], tree: Mapping[str, Any]) -> Position | None:
        if tree["before"] != self.runtime.finished:
            self.runtime.warn(f"Phase {self.phase!r} starts anew: a phase before it has been trained further.")
            return None
        self.metrics = max(0, int(tree["metrics"]))
        if "state" not in tree:
            self.run.cut_metrics(self.metrics)
            return None
        states.restore(state, tree["state"])
        self.best, limit = tree["best"], tree["limit"]
        if self.best is not None:  # it is needed at the phase's end
            states.check(states.learned(state), self.best)
        if limit is not None and (type(limit) is not int or limit < 1):
            raise ValueError(f"its micro-batches have {limit!r} images")
        self.runtime.updater.limit = limit
        self._same_machine(tree)
        return Position.from_json(tree["position"])

    def cut_metrics(self, position: Position) -> None:
        """Take back the rows that training is going to write again."""
        self.run.cut_metrics(self.metrics if position.partial_from is None else position.partial_from)
        position.partial_from = None

    def save(self, state: Mapping[str, Any], position: Position, random: states.Tree) -> None:
        """Write the checkpoint, with these states of the random streams."""
        if self.new_best and self.best is not None:
            facts = {"phase": self.phase, "epoch": str(position.best_epoch), "value": repr(position.best_value)}
            tensors = dict(states.named_tensors(self.best))
            write_tensors(self.run.checkpoint_path(self.phase, "best"), tensors, facts)
            self.new_best = False
        body = {
            "position": asdict(position),
            "limit": self.runtime.updater.limit,
            "threads": self.runtime.threads,
            "state": states.capture(state),
            "best": self.best,
            "random": random,
        }
        write_checkpoint(self.path, self._head() | body)

    def keep_best(self, state: Mapping[str, Any]) -> None:
        """Take the present weights as the best ones."""
        self.best = states.copy(states.capture(states.learned(state)))
        self.new_best = True

    def restore_best(self, state: Mapping[str, Any]) -> None:
        """Put the best weights, if there are some, into the modules."""
        if self.best is not None:
            states.restore(states.learned(state), self.best)

    def _head(self) -> dict[str, Any]:
        return {"format": FORMAT, "before": self.runtime.finished, "metrics": self.run.metrics_position()}

    def _same_machine(self, tree: Mapping[str, Any]) -> None:
        before, now = states.processes_of(tree["random"]), self.runtime.processes.count
        if before != now:
            self.runtime.warn(
                f"Phase {self.phase!r} was trained by {before} process{'' if before == 1 else 'es'} before, now by "
                f"{now}: random draws within the network go on differently, and the last digits of the results may."
            )
        if not states.restore_random(tree["random"], self.runtime):
            self.runtime.warn(
                f"Phase {self.phase!r} was trained on {tree['random']['device']} before, now on "
                f"{self.runtime.device.type}: random draws go on differently."
            )
        if tree["threads"] != self.runtime.threads:
            self.runtime.warn(
                f"Phase {self.phase!r} was trained with {tree['threads']} threads before, now with "
                f"{self.runtime.threads}: the last digits of the results may differ."
            )
