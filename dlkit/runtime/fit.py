"""A phase of training: epochs, schedule, records, checkpoints, resume, and every way in which it can end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.optim import Optimizer

from dlkit.augment.training import augmented_batches
from dlkit.errors import DataError, Interrupted, TrainingError
from dlkit.options import TrainOptions
from dlkit.runtime import state as states
from dlkit.runtime.batches import Batch, cut, epoch_order
from dlkit.runtime.means import FULL, Means, NotFiniteError
from dlkit.runtime.phase import FitResult, PhaseFiles, Position, Reason, RunLike
from dlkit.runtime.rates import Rates
from dlkit.runtime.reporting import Reporter, dependent, diverged, interrupted, memory_advice
from dlkit.runtime.signals import deferring, stop
from dlkit.runtime.together import Silent, Together

if TYPE_CHECKING:
    from dlkit.data import Split
    from dlkit.runtime.runtime import Runtime

_GLANCE_SECONDS = 0.1  # between looks at progress, checkpoints and time
_SAVING_SHARE = 0.05  # of the time, at most, goes into mid-epoch checkpoints


@dataclass
class Fit:
    """One call of :meth:`Runtime.fit`, where the arguments are described."""

    runtime: Runtime
    record: RunLike
    phase: str
    data: Split
    options: TrainOptions
    state: Mapping[str, Any]
    step: Callable[[Batch], Mapping[str, Tensor]]
    validate: Callable[[], Mapping[str, float]] | None
    monitor: str | None
    epochs: int
    independent: bool
    weights: Tensor | None = None

    def run(self) -> FitResult:
        """Restore, train, end."""
        self._check()
        self._set_up()
        resumed = self._begin()
        reason = self._reason()
        if reason is None:
            total = self.epochs * len(self.data)
            with deferring(True), memory_advice(self.phase), self.reporter.showing(total, self._images()):
                while reason is None:
                    self._epoch()
                    reason = self._reason()
                self._save()
            if (signum := self.together.asked_to_stop()) is not None:
                raise interrupted(signum, self.record)
        self.together.end()
        self.files.restore_best(self.state)
        here = self.here
        self.runtime.finished.append([self.phase, here.step])
        self.runtime.trained_seconds += here.seconds
        return FitResult(
            self.phase, here.epoch, here.step, here.seconds, reason, here.best_epoch, here.best_value, resumed
        )

    def _check(self) -> None:
        if len(self.data) == 0:
            raise DataError(f"Phase {self.phase!r}: there are no images to train on.")
        if any(phase == self.phase for phase, _ in self.runtime.finished):
            raise ValueError(f"this run has been through a phase named {self.phase!r} already")
        if self.options.accumulate > 1 and not self.independent:
            raise dependent(self.phase, self.options.accumulate)
        if self.options.patience is not None and (self.validate is None or self.monitor is None):
            self.runtime.warn(f"Phase {self.phase!r} chooses by no validation, so --patience does not stop it.")

    def _set_up(self) -> None:
        runtime, options = self.runtime, self.options
        optimizers = [item for item in self.state.values() if isinstance(item, Optimizer)]
        self.rates = Rates(runtime, options, optimizers)
        updater = runtime.updater
        updater.clip, updater.accumulate, updater.independent = options.clip, options.accumulate, self.independent
        updater.limit = None
        self.cuts = cut(len(self.data), options.batch_size, merge_single=not self.independent)
        self.feed = runtime.feed(self.data)
        self.glances = min(_GLANCE_SECONDS, options.checkpoint_every.seconds or _GLANCE_SECONDS)
        if self.data.augmentation is not None:
            self.data.augmentation.used = True
        self.together = Together(runtime, self.phase, self.state)
        if not runtime.processes.leads:
            self.record = Silent(self.record)
        self.means = Means()
        self.here = Position(horizon=options.schedule_epochs or self.epochs)
        self.files = PhaseFiles(self.record, self.phase, runtime)
        self.reporter = Reporter(runtime.display, self.record, self.phase, self.epochs)

    def _begin(self) -> bool:
        """Restore what an earlier process left of this phase; whether there was something."""
        position = self.files.load(self.state)
        self.together.begin(position)
        if position is None:
            if self.runtime.processes.leads:
                self.files.begin()
        else:
            if position.batch > len(self.cuts):
                raise DataError(f"{self.files.path}: batch {position.batch} of {len(self.cuts)}: it is damaged.")
            self.here = position
            self.means.sums = position.sums
            if self.options.schedule_epochs is not None:
                position.horizon = self.options.schedule_epochs
            if self._reason() is None:
                self.files.cut_metrics(position)
                self.rates.check(self.phase, self.epochs, position.horizon)
        self.since = self.saved = self.together.glanced = self.together.now()
        self.save_seconds = 0.0
        return position is not None

    def _reason(self) -> Reason | None:
        """Why the phase is at its end, or None."""
        here, options = self.here, self.options
        stale = here.epoch - here.best_epoch if here.best_epoch is not None and here.batch == 0 else 0
        if here.epoch >= self.epochs:
            return "epochs"
        if options.patience is not None and stale >= options.patience:
            return "patience"
        if options.max_time is not None and self.runtime.trained_seconds + here.seconds >= options.max_time.seconds:
            return "max_time"
        return None

    def _epoch(self) -> None:
        """Train from the present position to the end of the epoch, or until time is up."""
        here, runtime, total = self.here, self.runtime, len(self.cuts)
        if here.batch == 0:
            runtime.rng.manual_seed(runtime.derive("training", self.phase, here.epoch))
        step, pending, clock, glance = self.step, self.means.pending, time.perf_counter, 0.0
        alone, together = runtime.processes.count == 1, self.together
        if here.batch:  # the rate of the step before, which the epoch's row names where no step is left
            self._set_rate(here.batch - 1)
        for batch in self._batches():
            self._set_rate(here.batch)
            pending.append((step(batch), batch.indices.shape[0]))
            here.batch += 1
            here.step += 1
            if alone:
                due = len(pending) >= FULL or clock() >= glance or stop.signum is not None
            else:  # at the same step everywhere, whatever the clocks say
                together.share_statistics()
                due = together.due()
            if due:
                if self._glance() and here.batch < total:
                    break
                glance = clock() + self.glances
        self._end_epoch(partial=here.batch < total)

    def _batches(self) -> Iterable[Batch]:
        """What is left of the epoch at hand; its order and its augmentation are derived from (seed, phase, epoch)."""
        derive, key, cuts = self.runtime.derive, (self.phase, self.here.epoch), self.cuts[self.here.batch :]
        self.order = order = epoch_order(len(self.data), self.weights, derive("permutation", *key))
        batches = self.feed.batches(order, cuts, self.together.reading(self.feed))
        return augmented_batches(batches, self.data, order, cuts, derive("augment", *key))

    def _set_rate(self, batch: int) -> None:
        """For a batch of this epoch."""
        total = len(self.cuts)
        self.rates.set(self.here.epoch + batch / total, 1 / total, self.here.horizon)

    def _glance(self) -> bool:
        """Between two steps: look at the figures, show, save, stop. Whether time is up."""
        self._flush()
        now = self._account()
        self.together.pace(now, self.glances)
        self.reporter.advance(self._images(), self.means.means())
        every = self.options.checkpoint_every.seconds
        if (signum := self.together.asked_to_stop()) is not None:
            self._save()
            raise interrupted(signum, self.record)
        if every > 0 and now - self.saved >= max(every, self.save_seconds / _SAVING_SHARE):
            self._save()
        return self._reason() == "max_time"

    def _flush(self) -> None:
        """Take in the figures of the last steps.

        Raises:
            TrainingError: one is not finite.
        """
        try:
            self.means.flush()
        except NotFiniteError as error:
            raise self._diverged(f"{error.name} is {error.value}", error.back) from None

    def _account(self) -> float:
        """Add the time since the last call to the phase's and the epoch's; the time now."""
        now = self.together.now()
        self.here.seconds += now - self.since
        self.here.epoch_seconds += now - self.since
        self.since = now
        return now

    def _end_epoch(self, partial: bool) -> None:
        """Validate, record the epoch's row, keep the best, go on to the next epoch.

        Of a ``partial`` epoch, cut short by ``max_time``, the position stays where it is, so that a run with more
        time can go on from there; its row is then replaced by the whole epoch's.
        """
        here = self.here
        self._flush()
        self._account()
        self.reporter.advance(self._images(), self.means.means())
        row: dict[str, Any] = {"phase": self.phase, "epoch": here.epoch + 1, "step": here.step}
        row["lr"] = self.rates.now()
        row |= {f"train_{name}": value for name, value in self.means.means().items()}
        images, seconds = self.cuts[here.batch - 1][1], here.epoch_seconds
        figures = self._validated()
        row |= {f"val_{name}": value for name, value in figures.items()}
        self._account()
        row |= {"seconds": here.epoch_seconds, "images_per_second": images / seconds if seconds > 0 else 0.0}
        here.partial_from = self.record.metrics_position() if partial else None
        self.record.record(row)
        if self.validate is not None and self.monitor is not None:
            self._keep_best(figures, self.monitor)
        self.reporter.epoch_ended(row)
        if not partial:
            here.epoch, here.batch, here.epoch_seconds = here.epoch + 1, 0, 0.0
            here.sums = self.means.sums = {}
            if self.options.checkpoint_every.seconds == 0:
                self._save()

    def _validated(self) -> Mapping[str, float]:
        """The figures of ``validate``, which the first process looks at for all."""
        if self.validate is None:
            return {}
        random = states.capture_random(self.runtime)
        figures: Mapping[str, float] = self.runtime.processes.first(lambda: self._looked_at(random))
        return figures

    def _looked_at(self, random: states.Tree) -> Mapping[str, float]:
        """A signal stops ``validate`` at once: what is saved then is the state before it."""
        assert self.validate is not None  # noqa: S101 - asked before
        modes = states.training_modes(self.state)
        try:
            if stop.signum is not None:
                raise interrupted(stop.signum, self.record)
            with deferring(False):
                return self.validate()
        except Interrupted as error:
            self._save(random)
            raise interrupted(error.signum, self.record) from None
        finally:
            for module, mode in modes.items():
                module.training = mode

    def _keep_best(self, figures: Mapping[str, float], monitor: str) -> None:
        if monitor not in figures:
            raise ValueError(f"validate() gave {sorted(figures)}, but fit monitors {monitor!r}")
        value, here = float(figures[monitor]), self.here
        if math.isnan(value):
            raise self._diverged(f"val_{monitor} is {value}")
        if here.best_value is None or value < here.best_value:
            here.best_value, here.best_epoch = value, here.epoch + 1
            self.files.keep_best(self.state)

    def _save(self, random: states.Tree | None = None) -> None:
        """Write the checkpoint, unless the weights are spoilt.

        Raises:
            TrainingError: a weight is not finite; the checkpoint before stays.
        """
        started = self.together.now()
        spoilt = states.poisoned(self.state)
        if spoilt is not None:
            raise self._diverged(f"the weights {spoilt} are not finite")
        self._account()
        self.here.sums = self.means.sums
        random = random or states.capture_random(self.runtime)
        if self.runtime.processes.leads:
            self.files.save(self.state, self.here, random)
        self.saved = self.together.now()
        self.save_seconds = self.saved - started

    def _images(self) -> int:
        """Images seen in the phase."""
        here = self.here
        return here.epoch * len(self.data) + (self.cuts[here.batch - 1][1] if here.batch else 0)

    def _diverged(self, what: str, back: int = 0) -> TrainingError:
        batch = self.here.batch - back  # of this epoch; 0 where it has just ended
        images = self.order[slice(*self.cuts[batch - 1])].tolist() if batch > 0 else []
        where = f"phase {self.phase!r}, epoch {self.here.epoch + 1}, step {self.here.step - back}"
        where += f", batch {batch} of {len(self.cuts)}" if batch > 0 else ""
        return diverged(what, where, images, self.data, self.record)
