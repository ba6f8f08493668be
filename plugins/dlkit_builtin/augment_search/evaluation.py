"""Figures of the policies on held-out images, and the table of what was tried."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dlkit.baselines import wilson_interval
from dlkit.metrics import Metric, Metrics, Row, Table
from dlkit.repeats import mean_and_t_interval
from dlkit.supervised.metrics import supervised_metrics, supervised_tables
from dlkit_builtin.augment_search.arms import COMPARED, FOUND, WORDS
from dlkit_builtin.augment_search.learner import predictions, right

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.runtime import Runtime
    from dlkit_builtin.augment_search.technique import AugmentSearch


def evaluate(technique: AugmentSearch, data: ImageData, runtime: Runtime) -> Metrics:
    """The accuracy with the policy found beside those with the others, its gains over them, and the tables.

    Accuracies are means over the models' seeds; their intervals say how much depends on which images are tested, those
    of gains how much on chance in training.
    """
    held_out = data.held_out
    answers = {name: [predictions(model, held_out, runtime) for model in models]
               for name, models in technique.models.items()}  # fmt: skip
    accuracies = {name: [float(right(each, held_out).double().mean()) for each in outputs]
                  for name, outputs in answers.items()} if _labelled(data) else {}  # fmt: skip
    top = technique.top
    first = supervised_metrics(answers[top][0], data, runtime)
    rows = [_mean(row, accuracies, top) if row.name == "accuracy" else row for row in first]
    rows[1:1] = list(_gains(accuracies, top, held_out.name))
    rows.append(
        Metric(
            name="search_seconds",
            label="search",
            value=technique.facts["seconds"],
            split="train",
            unit="s",
            better="lower",
            note=f"{technique.facts['trials']} trainings",
        )
    )
    tables = (*_tables(technique, accuracies), *supervised_tables(answers[top][0], data))
    return Metrics(tuple(rows), tables)


def _labelled(data: ImageData) -> bool:
    labels = data.held_out.labels
    return labels is not None and bool((labels >= 0).any())


def _mean(row: Metric, accuracies: Mapping[str, Sequence[float]], top: str) -> Metric:
    """The accuracy of all the policy's models, beside that of the other policies."""
    others = {WORDS[name]: _average(values) for name, values in accuracies.items() if name != top}
    count = int(row.note.split()[0].replace(",", "")) if row.note[:1].isdigit() else 1
    value = _average(accuracies[top])
    seeds = len(accuracies[top])
    return replace(
        row,
        value=value,
        interval=wilson_interval(value, count),
        baselines={**others, **row.baselines},
        note=f"{row.note}; mean of {seeds} training{'s' if seeds > 1 else ''}",
    )


def _gains(accuracies: Mapping[str, Sequence[float]], top: str, split: str) -> Iterator[Metric]:
    """What the policy found brings over each of the others, seed by seed, in points."""
    for name, values in accuracies.items():
        if name == top:
            continue
        differences = [100 * (mine - other) for mine, other in zip(accuracies[top], values, strict=True)]
        interval = mean_and_t_interval(differences, shared=False)[1] if len(differences) > 1 else None
        yield Metric(
            name=f"gain_over_{name}", label=f"gain over {WORDS[name]}", value=round(_average(differences), 9) + 0.0,
            split=split, better="higher", unit="points", interval=interval, baselines={WORDS[name]: 0.0},
            note="of accuracy, " + ("the same seeds" if interval else "one seed: it may be chance"),
        )  # fmt: skip


def _tables(technique: AugmentSearch, accuracies: Mapping[str, Sequence[float]]) -> Iterator[Table]:
    policies = COMPARED | {technique.top: technique.found}
    rows: list[Row] = []
    for name, values in accuracies.items():
        seeds = {f"seed {seed}": value for seed, value in enumerate(values)}
        words = f"{name}: found" if name == technique.top != FOUND else name
        rows.append({"policy": words, "augment": policies[name] or "–", "mean": _average(values), **seeds})
    doubt = "" if technique.facts["proven"] or not technique.found else "Chance may explain the gain of what was found."
    yield Table(name="policies", title="Accuracy on held-out images with each policy", rows=tuple(rows), note=doubt)
    if technique.rows:
        yield Table(
            name="augmenters",
            title="What each augmenter brings, in points of accuracy",
            rows=tuple(technique.rows),
            note="Gain over no augmentation on training images that were held back, seed by seed, with 95 % interval. "
            "Of so many, one in twenty is called helpful or harmful by chance. Few seeds: it was dropped early. "
            + _shortage(technique.facts),
        )


def _shortage(facts: Mapping[str, Any]) -> str:
    """What the budget was too small for."""
    out = facts.get("left_out", 0)  # a run of an earlier version says nothing of it
    left = f"{out} others were not tried, for lack of time. " if out else ""
    spent = "" if facts["complete"] else "The budget was spent before the search was through. "
    return f"{left}{spent}`dlkit resume RUN --budget TIME` goes on." if left or spent else ""


def _average(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
