"""What people and plugins hear of a phase while it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dlkit.errors import Interrupted, TrainingError, UsageError
from dlkit.report.figures import clean
from dlkit.runtime.phase import RunLike
from dlkit.shortage import MEMORY_ADVICE, out_of_memory

if TYPE_CHECKING:
    from dlkit.data import Split
    from dlkit.display import Display, Progress


_SHOWN = 5
"""So many images of a batch are named in an error."""


class Reporter:
    """Shows one phase's progress, in images; tells the run's loggers when an epoch ends."""

    def __init__(self, display: Display | None, run: RunLike, phase: str, epochs: int) -> None:
        self.display, self.run, self.phase, self.epochs = display, run, phase, epochs
        self.progress: Progress | None = None
        self.shown = 0

    @contextmanager
    def showing(self, total: int, done: int) -> Iterator[None]:
        """Show how many of ``total`` images are done while the block runs."""
        self.shown = done
        if self.display is None:
            yield
            return
        with self.display.progress(self.phase, total, "img", done=done) as self.progress:
            yield

    def advance(self, done: int, figures: Mapping[str, float]) -> None:
        """So many images are done now, and these are the epoch's means so far."""
        if self.progress is not None:
            self.progress.advance(done - self.shown, **figures)
            self.shown = done

    def epoch_ended(self, row: Mapping[str, Any]) -> None:
        """An epoch has ended with this row of metrics."""
        if self.progress is not None:
            figures = [f"{name} {value:.4g}" for name, value in row.items() if name.startswith(("train_", "val_"))]
            self.progress.note("  ".join([f"epoch {row['epoch']}/{self.epochs}", *figures, f"{row['seconds']:.1f} s"]))
        tell = getattr(self.run, "epoch_ended", None)
        if tell is not None:
            tell(self.phase, row)


def diverged(what: str, where: str, images: Sequence[int], data: Split, run: RunLike) -> TrainingError:
    """Something is not finite.

    Args:
        what: it is.
        where: phase, epoch, step, batch.
        images: of the batch, by their place in ``data``; the first are named in the message, all in the run's log.
        data: the images.
        run: the run.
    """
    told = f"Training went astray in {where}: {what}."
    names = [f"image {index}" if data.files is None else clean(data.files[index]) for index in images]
    log = getattr(run, "log", None)
    if log is not None and names:
        log(f"{told} Images of the batch: {', '.join(names)}")
    more = [f"and {len(names) - _SHOWN} more{', which log.txt names' if log else ''}"] if len(names) > _SHOWN else []
    return TrainingError(
        f"{told}\nImages of the batch: {', '.join([*names[:_SHOWN], *more])}." if names else told,
        "Train anew with a smaller --lr, --clip 1, --warmup 1 or --precision fp32. The last checkpoint is from before: "
        "`dlkit resume RUN --epochs N` makes a model of the N epochs that there were.",
    )


def dependent(phase: str, accumulate: int) -> UsageError:
    """Updates cannot be split."""
    return UsageError(
        f"--accumulate {accumulate}: in phase {phase!r} the samples of a batch depend on each other, so an update "
        "cannot be computed in micro-batches.",
        "Leave --accumulate at 1, and use a smaller --batch-size if memory is short.",
    )


def interrupted(signum: int, run: RunLike) -> Interrupted:
    """Stopped by a signal, after saving."""
    return Interrupted(signum, f"Everything is saved. Go on with: dlkit resume {run.path}")


@contextmanager
def memory_advice(phase: str) -> Iterator[None]:
    """Turn running out of memory anywhere in the block into an error that says what to do."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise TrainingError(f"Phase {phase!r}: out of memory: {error}", MEMORY_ADVICE) from error
