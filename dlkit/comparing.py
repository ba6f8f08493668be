"""What images that were added to a data set are worth: a run trained with and without them, over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from dlkit import session
from dlkit.data.listing import SPLITS, UNLABELLED
from dlkit.data.load import list_data
from dlkit.data.targets import strata
from dlkit.errors import DataError, UsageError
from dlkit.metrics import Metric, Metrics, Row, Table
from dlkit.repeats import mean_and_t_interval, possible_interval
from dlkit.report.figures import headline, number
from dlkit.run import Run
from dlkit.run.directory import list_runs

if TYPE_CHECKING:
    from dlkit.display import Display
    from dlkit.settings import Settings

Added = Literal["augmented", "generated"]
FOLDER = "comparisons"
"""Where the runs of a comparison are, in the directory of the run that is compared."""
_OWN = ("runs", "name")


@dataclass(frozen=True)
class Comparison:
    """Two arms, run by run.

    Attributes:
        metrics: means with the added images, beside those without, and a table with a row for each seed.
        verdict: one sentence.
        runs: of all seeds, with and without.
    """

    metrics: Metrics
    verdict: str
    runs: tuple[Run, ...]


def compare_without(run: Run, origins: Sequence[Added], seeds: int, display: Display) -> Comparison:
    """Train the run's technique with and without the added images, with the seeds s, s + 1, …

    What is trained already (the run itself, and runs of an earlier comparison) is not trained again; what was stopped
    goes on. Both arms are tested on the same images, none of which was added.

    Args:
        run: a finished run, trained with the added images.
        origins: which images the other arm is without: ``augmented``, ``generated``.
        seeds: how many, at least 2.
        display: where progress is shown.

    Raises:
        UsageError: the run was trained without them.
        DataError: the data has no such images, or the runs give no figure.
    """
    settings = run.settings
    if set(settings.data.without) & set(origins):
        raise UsageError(f"{run.name} was trained without {', '.join(settings.data.without)} images already.",
                         "Give a run that was trained with them.")  # fmt: skip
    added, total = _counts(settings, origins, display)
    root = str(run.path / FOLDER)
    first = settings.runtime.seed
    arms: dict[str, list[Run]] = {"with": [], "without": []}
    for seed in range(first, first + seeds):
        for arm, data in (("with", settings.data), ("without", replace(settings.data, without=tuple(origins)))):
            planned = replace(
                settings,
                data=data,
                runtime=replace(settings.runtime, seed=seed),
                run=replace(settings.run, runs=root, name=f"{arm}-seed-{seed}"),
            )
            display.info(f"{arm.capitalize()} {' and '.join(origins)} images, seed {seed}")
            arms[arm].append(_trained(planned, run, display))
    return _compared(arms, origins, (added, total), first)


def _counts(settings: Settings, origins: Sequence[str], display: Display) -> tuple[int, int]:
    """Training images that were added, and all."""
    listing, splits = list_data(settings.data, display)
    train = splits == SPLITS.index("train")
    chosen = train & np.isin(listing.origins or [""] * len(train), origins)
    groups = strata(listing)
    added, labelled = int(chosen.sum()), groups is not None and bool((groups[chosen] != UNLABELLED).any())
    if added == 0:
        raise DataError(
            f"{listing.name} has no {' or '.join(origins)} training images.",
            "`dlkit augment DATA --from RUN --per-class N --out DIR` adds some; train on DIR, then compare.",
        )
    if settings.card.needs_labels and not labelled:
        raise DataError(
            f"The {added:,} {' and '.join(origins)} training images of {listing.name} have no labels, and "
            f"{settings.card.name} learns from labels only: with and without them is the same.",
            "`dlkit augment DATA --from RUN --per-class N` adds images of each class, of a RUN that was told them.",
        )
    return added, int(train.sum())


def _trained(planned: Settings, run: Run, display: Display) -> Run:
    """A finished run of these settings: one that is there, one that goes on, or a new one."""
    wanted = _plain(planned)
    for known in (run, *map(Run, list_runs(run.path / FOLDER))):
        if _plain(known.settings) != wanted:
            continue
        if known.status.get("status") == "finished":
            return known
        if known is not run:
            return session.resume(known, display)
    return session.train(planned, display)


def _plain(settings: Settings) -> Mapping[str, object]:
    return {key: value for key, value in settings.to_plain().items() if key not in _OWN}


def _compared(
    arms: Mapping[str, Sequence[Run]], origins: Sequence[str], counts: tuple[int, int], first: int
) -> Comparison:
    found = {arm: [run.load_evaluation() or Metrics(()) for run in runs] for arm, runs in arms.items()}
    top = headline(found["with"][0])
    if top is None:
        raise DataError(f"{arms['with'][0].name} gives no figures to compare.", "Is anything of its data labelled?")
    what = " and ".join(origins)
    rows = tuple(_means(found, what, counts))
    values = {arm: [each.get(top.name, top.split).value for each in figures] for arm, figures in found.items()}
    differences = [one - other for one, other in zip(values["with"], values["without"], strict=True)]
    mean, interval = mean_and_t_interval(differences, shared=False)
    table = Table(
        name="with_and_without",
        title=f"{top.label} on {top.split}, seed by seed",
        rows=tuple(_seed_rows(values, differences, first)),
        note=f"Each pair has the same seed, splits and {top.split} images.",
    )
    runs = (*arms["with"], *arms["without"])
    return Comparison(Metrics(rows, (table,)), _verdict(top, mean, interval, what, counts), runs)


def _means(found: Mapping[str, Sequence[Metrics]], what: str, counts: tuple[int, int]) -> Iterator[Metric]:
    """Each figure that all runs have: its mean with the added images, beside that without."""
    added, total = counts
    for metric in found["with"][0]:
        arms = [[row.value for each in figures for row in each if (row.name, row.split) == (metric.name, metric.split)]
                for figures in found.values()]  # fmt: skip
        if any(len(arm) < len(found["with"]) for arm in arms) or not metric.baselines:  # of what training took
            continue
        mean, interval = mean_and_t_interval(arms[0], shared=False)
        interval = possible_interval(interval, [each.get(metric.name, metric.split) for each in found["with"]])
        plain, _ = mean_and_t_interval(arms[1], shared=False)
        yield replace(
            metric, value=mean, interval=interval, baselines={f"without {what} images": plain},
            note=f"{total:,} training images, {added:,} of them {what}",
        )  # fmt: skip


def _seed_rows(values: Mapping[str, Sequence[float]], differences: Sequence[float], first: int) -> Iterator[Row]:
    for place, difference in enumerate(differences):
        arms = {arm: each[place] for arm, each in values.items()}
        yield {"seed": str(first + place), **arms, "difference": difference}
    means = {arm: math.fsum(each) / len(each) for arm, each in values.items()}
    yield {"seed": "mean", **means, "difference": math.fsum(differences) / len(differences)}


def _verdict(top: Metric, mean: float, interval: tuple[float, float] | None, what: str, counts: tuple[int, int]) -> str:
    added, total = counts
    sign = 1 if top.better == "higher" else -1
    low, high = sorted(sign * end for end in interval or (mean, mean))
    says = "they help" if low > 0 else "they hurt" if high < 0 else "no difference that chance does not explain"
    between = "" if interval is None else f" [{_signed(interval[0])}, {_signed(interval[1])}]"
    share = f"{added / max(1, total - added):.0%} more images, and as many more updates in the same epochs"
    return f"{top.label}: {_signed(mean)}{between} with the {what} images ({share}): {says}."


def _signed(value: float) -> str:
    return f"+{number(value)}" if value > 0 else number(value)
