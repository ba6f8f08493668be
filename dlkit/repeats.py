"""Training several times: with other seeds, or with other parts of the images to test on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from dlkit import ranks, session
from dlkit.errors import UsageError
from dlkit.files import write_json
from dlkit.launch import wanted
from dlkit.loading import load_training_data
from dlkit.metrics import Metric, Metrics, Row, Table
from dlkit.options.values import Fold
from dlkit.places import anchored
from dlkit.report import write_report
from dlkit.run.run import REPEATS
from dlkit.runtime import Runtime

if TYPE_CHECKING:
    from dlkit.display import Display
    from dlkit.run import Run
    from dlkit.settings import Settings

Kind = Literal["seeds", "folds"]


@dataclass(frozen=True)
class Repeats:
    """Several runs, and what they say together.

    Attributes:
        runs: the finished ones, in order.
        figures: means over the runs, with 95 % t-intervals, and a table with a row for each run.
        title: heading.
        note: what the intervals mean.
    """

    runs: tuple[Run, ...]
    figures: Metrics
    title: str
    note: str


def train_seeds(settings: Settings, count: int, display: Display) -> Repeats:
    """Train ``count`` runs with the seeds s, s + 1, … on the same data and splits.

    Raises:
        UsageError: torchrun has started this process.
        DlkitError: whatever ends one of the trainings; those that ended well before are summed up all the same.
    """
    settings = anchored(settings)  # once: each run that is made becomes the latest
    first = settings.runtime.seed
    plans = [replace(settings, runtime=replace(settings.runtime, seed=first + step)) for step in range(count)]
    return _train_all(plans, "seeds", [str(first + step) for step in range(count)], display)


def train_folds(settings: Settings, count: int, display: Display) -> Repeats:
    """Train ``count`` runs, each tested on another of ``count`` equal parts of the images (see ``--fold``).

    Raises:
        UsageError: the settings name a fold already, or torchrun has started this process.
        DlkitError: whatever ends one of the trainings; those that ended well before are summed up all the same.
    """
    if settings.data.fold is not None:
        raise UsageError(f"--fold {settings.data.fold} is one part of a --kfold.", "Give one of them.")
    settings = anchored(settings)
    folds = [Fold(number, count) for number in range(1, count + 1)]
    plans = [replace(settings, data=replace(settings.data, fold=fold)) for fold in folds]
    return _train_all(plans, "folds", [str(fold) for fold in folds], display)


def _train_all(plans: Sequence[Settings], kind: Kind, names: Sequence[str], display: Display) -> Repeats:
    if ranks.count() > 1:  # where it starts them again, they do not know which of the trainings they were at
        flag = "--seeds" if kind == "seeds" else "--kfold"
        raise UsageError(
            f"{flag}: the processes that torchrun starts train once.",
            f"Let dlkit start them for each training: dlkit … {flag} {len(plans)} --devices {ranks.local_count()}.",
        )
    data = None
    if kind == "seeds" and not wanted(plans[0].runtime):  # the same for all, and loaded where it is trained on
        Runtime(plans[0].runtime, display)  # before anything is computed
        data = load_training_data(plans[0], display)
    done: list[Run] = []
    try:
        for number, (plan, name) in enumerate(zip(plans, names, strict=True), start=1):
            display.info(f"{kind.removesuffix('s').capitalize()} {name} ({number} of {len(plans)})")
            done.append(session.train(plan, display, data=data))
    except BaseException:
        if len(done) > 1:
            _keep(sum_up(done, kind, names))
        raise
    repeats = sum_up(done, kind, names)
    _keep(repeats)
    return repeats


def sum_up(runs: Sequence[Run], kind: Kind, names: Sequence[str]) -> Repeats:
    """The means of the figures that all runs have.

    Args:
        runs: two or more, evaluated.
        kind: what they differ in.
        names: each run's seed or fold.
    """
    found = [run.load_evaluation() or Metrics(()) for run in runs]
    headings = [f"{kind.removesuffix('s')} {name}" for name in names[: len(runs)]]
    means = tuple(_means(found, shared=kind == "folds"))
    table = Table(name="runs", title="Each run", rows=tuple(_rows(means, found, headings)))
    figures = Metrics(means, (table,))
    return Repeats(tuple(runs), figures, f"Over {len(runs)} {kind}", _NOTES[kind])


_NOTES = {
    "seeds": "Means over runs that differ in nothing but their seed, with 95 % t-intervals: how much chance in "
    "training matters. How much the choice of test images matters is in each run's own intervals.",
    "folds": "Means over runs, each tested on other images. The 95 % t-intervals are widened for the "
    "training images that the runs share (Nadeau and Bengio 2003, Inference for the generalization error).",
}


def _means(found: Sequence[Metrics], *, shared: bool) -> Iterator[Metric]:
    for metric in found[0]:
        same = [row for each in found for row in each if (row.name, row.split) == (metric.name, metric.split)]
        if len(same) < len(found):
            continue
        mean, interval = mean_and_t_interval([row.value for row in same], shared=shared)
        interval = possible_interval(interval, same)
        common = [name for name in metric.baselines if all(name in row.baselines for row in same)]
        beside = {name: math.fsum(row.baselines[name] for row in same) / len(same) for name in common}
        yield replace(metric, value=mean, interval=interval, baselines=beside, note="")


def possible_interval(
    interval: tuple[float, float] | None, same: Sequence[Metric]
) -> tuple[float, float] | None:  # fmt: skip
    """The interval of a mean, cut to what the figure can be: shares (which have intervals in [0, 1] in every run) to
    [0, 1], seconds to what is positive; None where all runs agree, which tells nothing about others."""
    if interval is None or interval[0] == interval[1]:
        return None
    low, high = interval
    if all(row.interval is not None and 0 <= row.interval[0] <= row.interval[1] <= 1 for row in same):
        return max(low, 0.0), min(high, 1.0)
    return (max(low, 0.0), high) if same[0].unit == "s" else interval


def mean_and_t_interval(values: Sequence[float], *, shared: bool) -> tuple[float, tuple[float, float] | None]:
    """Mean and 95 % interval by Student's t; none where a value is not finite.

    Args:
        values: two or more.
        shared: they come from cross-validation: their variance is multiplied by 1/K + 1/(K − 1) in place of 1/K
            (Nadeau and Bengio 2003, section 4.1, with the test set 1/(K − 1) of the training set's size).
    """
    from scipy.stats import t

    count = len(values)
    mean = math.fsum(values) / count
    if not math.isfinite(mean):
        return mean, None
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    scale = 1 / count + (1 / (count - 1) if shared else 0)
    half = float(t.ppf(0.975, count - 1)) * math.sqrt(variance * scale)
    return mean, (mean - half, mean + half)


def _rows(means: Sequence[Metric], found: Sequence[Metrics], headings: Sequence[str]) -> Iterator[Row]:
    """A row for each figure, a column for each run: runs are few."""
    for row in means:
        values = (metrics.get(row.name, row.split).value for metrics in found)
        yield {"figure": row.label, "split": row.split, **dict(zip(headings, values, strict=True))}


def _keep(repeats: Repeats) -> None:
    """Into the directory of each run, so that any of them shows it in its report."""
    plain = {
        "title": repeats.title,
        "note": repeats.note,
        "runs": [run.name for run in repeats.runs],
        "metrics": repeats.figures.to_json(),
        "tables": repeats.figures.tables_json(),
    }
    for run in repeats.runs:
        write_json(run.path / REPEATS, plain)
        write_report(run.path)
