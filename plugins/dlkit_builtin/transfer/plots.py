"""A plot of its own: what more data would bring."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from dlkit.report.style import PALETTE, SOFT, plain, styled


@styled
def learning_curve(
    points: Sequence[Sequence[float]], axis_title: str, level: tuple[str, float] | None = None
) -> Figure:
    """A figure over the number of training images, on a logarithmic axis.

    Args:
        points: (images, mean, standard error) for each.
        axis_title: what the figure is.
        level: name and value of a line across.
    """
    figure = Figure(figsize=(4.8, 3.2))
    ax = figure.add_subplot()
    images, means, errors = zip(*points, strict=True)
    below, above = zip(*(_bars(mean, 1.96 * error) for mean, error in zip(means, errors, strict=True)), strict=True)
    ax.errorbar(images, means, (below, above), color=PALETTE[0], marker="o", markersize=4, capsize=2)
    if level is not None:
        ax.axhline(level[1], color=SOFT, linewidth=1, linestyle=":", label=plain(level[0]))
        ax.legend()
    ax.set_xscale("log")
    ax.set_xticks(images, [f"{count:.0f}" for count in images], minor=False)
    ax.set_xticks([], minor=True)
    ax.set_xlabel("training images")
    ax.set_ylabel(axis_title)
    ax.grid(axis="y")
    ax.set_axisbelow(True)
    return figure


def _bars(mean: float, error: float) -> tuple[float, float]:
    """Lengths below and above, the latter no longer than to 1, the largest score."""
    return error, min(error, max(1 - mean, 0.0))
