"""Learning curves from the rows of ``metrics.jsonl``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dlkit.report.figures import number
from dlkit.report.style import BLUE, INK, empty, plain, styled

Line = dict[float, float]  # epoch → value
COLOURS = {"train": "#8c959f", "val": BLUE}


@styled
def learning_curves(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """A panel for each phase and figure of ``metrics.jsonl``: train grey, val blue, the best epoch marked.

    The best epoch is that of the lowest ``val_loss``, whose weights a phase ends with, or of the lowest
    ``train_loss`` where nothing was validated. Figures that are not finite (``"nan"``) leave a gap.
    """
    found = panels(rows)
    if not found:
        return empty("nothing recorded")
    columns = min(len(found), 2)
    count = math.ceil(len(found) / columns)
    figure = Figure(figsize=(4.6 * columns, 2.9 * count), layout="constrained")
    axes = list(figure.subplots(count, columns, squeeze=False).flat)
    several = len({phase for phase, _ in found}) > 1
    for ax, ((phase, name), lines) in zip(axes, found.items(), strict=False):
        best = best_epoch(found.get((phase, "loss"), {}))
        _curve(ax, lines, best)
        ax.set_title(f"{plain(phase)}: {plain(name)}" if several else plain(name))
    for ax in axes[len(found) :]:
        ax.set_axis_off()
    return figure


def panels(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], dict[str, Line]]:
    """(phase, figure) → "train" and "val" → epoch → value; ``train_loss`` and ``val_loss`` are one figure."""
    found: dict[tuple[str, str], dict[str, Line]] = {}
    for row in rows:
        epoch = _number(row.get("epoch"))
        if not math.isfinite(epoch):
            continue
        for key, value in row.items():
            split, _, name = key.partition("_")
            if split in COLOURS and name:
                lines = found.setdefault((str(row.get("phase", "")), name), {})
                lines.setdefault(split, {})[epoch] = _number(value)
    return found


def best_epoch(lines: Mapping[str, Line]) -> float | None:
    """The epoch of the lowest value, of val where there is one, else of train; None where nothing is finite."""
    line = lines.get("val") or lines.get("train") or {}
    finite = {epoch: value for epoch, value in line.items() if math.isfinite(value)}
    return min(finite, key=lambda epoch: finite[epoch]) if finite else None


def _number(value: Any) -> float:
    try:
        return float(value)  # JSON holds "nan" and "inf" as strings
    except (TypeError, ValueError):
        return math.nan


def _curve(ax: Any, lines: Mapping[str, Line], best: float | None) -> None:
    values = [value for line in lines.values() for value in line.values() if math.isfinite(value)]
    for split in ("train", "val"):
        if split in lines:
            line = dict(sorted(lines[split].items()))
            marker = "o" if len(line) < 3 else None
            ax.plot(list(line), list(line.values()), color=COLOURS[split], linewidth=1.8, label=split, marker=marker)
    shown = lines.get("val") or lines.get("train") or {}
    if best is not None and math.isfinite(shown.get(best, math.nan)):
        label = f"best: {number(shown[best])}, epoch {best:g}"
        ax.plot([best], [shown[best]], "o", color=INK, markersize=5, label=label, zorder=3)
    if values and min(values) > 0 and max(values) / min(values) > 20:
        ax.set_yscale("log")
    ax.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    ax.grid(axis="y")
    ax.set_axisbelow(True)
    ax.set_xlabel("epoch")
    ax.legend()
