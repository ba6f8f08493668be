"""A plot of its own: what more data would bring."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from dlkit.report.style import PALETTE, styled


@styled
def learning_curve(points: Sequence[Sequence[float]], axis_title: str) -> Figure:
    """A figure over the number of training images, on a logarithmic axis.

    Args:
        points: (images, mean, standard error) for each.
        axis_title: what the figure is.
    """
    figure = Figure(figsize=(4.8, 3.2))
    ax = figure.add_subplot()
    images, means, errors = zip(*points, strict=True)
    ax.errorbar(
        images, means, [1.96 * error for error in errors], color=PALETTE[0], marker="o", markersize=4, capsize=2
    )
    ax.set_xscale("log")
    ax.set_xticks(images, [f"{count:.0f}" for count in images], minor=False)
    ax.set_xticks([], minor=True)
    ax.set_xlabel("training images")
    ax.set_ylabel(axis_title)
    ax.grid(axis="y")
    ax.set_axisbelow(True)
    return figure
