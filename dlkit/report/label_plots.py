"""Plots of what models say about labels: confusions, mistakes, calibration, numbers, stages of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from dlkit.report.figures import number
from dlkit.report.style import BLUE, INK, PALE, PALETTE, SOFT, Mosaic, empty, plain, short, styled

if TYPE_CHECKING:
    from torch import Tensor

Numbers = NDArray[Any]

_COUNTED = 20  # classes up to which cells hold numbers
_SHARED = 10  # and row shares below them
_NAMED = 100  # classes up to which the axes hold names
RED = PALETTE[2]


@styled
def confusion(counts: Numbers, classes: Sequence[str]) -> Figure:
    """Who is taken for whom: a row for each true class, a column for each answer.

    The depth of a colour is the share of the row, blue where the answer is right and red where it is wrong; up to
    twenty classes cells hold the counts, up to ten the shares too, up to a hundred the axes name the classes.

    Args:
        counts: int ``(K, K)``.
        classes: K names.
    """
    size = len(classes)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    cell = 0.62 if size <= _SHARED else 0.42 if size <= _COUNTED else 9 / size
    figure = Figure(figsize=(size * cell + 1.2, size * cell + 1.0))
    ax = figure.add_subplot()
    right, wrong = mpl.colormaps["Blues"](0.85 * shares), mpl.colormaps["Reds"](0.85 * np.sqrt(shares))
    colours = np.where(np.eye(size, dtype=bool)[..., None], right, wrong)
    colours[shares == 0] = 1  # white
    ax.imshow(colours, interpolation="nearest")
    if size <= _COUNTED:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                share = f"\n{shares[row, column]:.0%}" if size <= _SHARED else ""
                dark = colours[row, column, :3] @ (0.299, 0.587, 0.114) < 0.55  # luma of ITU-R BT.601
                ax.text(column, row, f"{int(count)}{share}", ha="center", va="center", fontsize=7,
                        color="white" if dark else INK)  # fmt: skip
    ticks = range(size) if size <= _NAMED else ()
    letters = 9 if size <= _COUNTED else max(4.0, 0.6 * 72 * cell)
    names = [plain(short(name)) for name in classes][: len(ticks)]
    ax.set_xticks(ticks, names, rotation=90 if size > _SHARED else 45, ha="center" if size > _SHARED else "right",
                  rotation_mode="default" if size > _SHARED else "anchor", fontsize=letters)  # fmt: skip
    ax.set_yticks(ticks, names, fontsize=letters)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(True)
    ax.set_xlabel("answer")
    ax.set_ylabel("true class")
    return figure


@styled
def captioned(images: Sequence[Tensor], captions: Sequence[str], columns: int = 6, cell: float = 1.15) -> Figure:
    """Images with a few short lines below each, row by row.

    Args:
        images: each ``(C, H, W)``, pixels in [0, 1]; all of one size.
        captions: one for each, its lines separated by line breaks; the first is bold.
        columns: images in a row.
        cell: height of an image in inches.
    """
    if len(images) == 0:
        return empty("no images")
    lines = max(caption.count("\n") + 1 for caption in captions)
    columns = min(columns, len(images))
    width = max(cell * images[0].shape[-1] / images[0].shape[-2], 1.15)  # room for the text
    step = 0.125 / cell
    mosaic = Mosaic(-(-len(images) // columns), columns, width, cell, gap=0.12, below=step * lines + 0.06)
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        row, column = divmod(index, columns)
        mosaic.show(row, column, _padded(image, width / cell))
        for place, line in enumerate(caption.split("\n")):
            mosaic.ax.text(mosaic.left(column), mosaic.top(row) + 1.05 + place * step, plain(line), fontsize=7,
                           va="top", fontweight="bold" if place == 0 else "normal",
                           color=INK if place == 0 else SOFT)  # fmt: skip
    return mosaic.finish()


def _padded(image: Tensor, ratio: float) -> Tensor:
    """An image with white at its right, so that its width is ``ratio`` times its height."""
    missing = round(ratio * image.shape[-2]) - image.shape[-1]
    if missing <= 0:
        return image
    white = image.new_ones((*image.shape[:-1], missing))
    from torch import cat

    return cat([image, white], -1)


@styled
def reliability(count: Numbers, confidence: Numbers, accuracy: Numbers, error: float) -> Figure:
    """A reliability diagram: accuracy by confidence in bins of equal width, over the histogram of confidences.

    Args:
        count: images in each bin, ``(M,)``.
        confidence, accuracy: means of each bin, ``(M,)``.
        error: the expected calibration error, written beside.
    """
    figure = Figure(figsize=(4.6, 5.0))
    ax, below = figure.subplots(2, 1, height_ratios=(3.2, 1), sharex=True)
    figure.subplots_adjust(hspace=0.08)
    width, some = 1 / len(count), count > 0
    middles = (np.arange(len(count)) + 0.5) * width
    low, gap = np.minimum(accuracy, confidence), np.abs(accuracy - confidence)
    ax.bar(middles[some], low[some], 0.92 * width, color=BLUE)
    for colour, which in ((RED, some & (confidence > accuracy)), (PALETTE[1], some & (confidence <= accuracy))):
        ax.bar(middles[which], gap[which], 0.92 * width, bottom=low[which], color=colour, alpha=0.45)
    keys = [Patch(color=RED, alpha=0.45, label="too sure: confidence is higher"),
            Patch(color=PALETTE[1], alpha=0.45, label="not sure enough: accuracy is higher"),
            *ax.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle="--", label="perfectly calibrated")]  # fmt: skip
    ax.set_ylim(0, 1)
    ax.set_xlim(0, 1)
    ax.set_ylabel("share of right answers")
    ax.legend(handles=keys, loc="upper left", fontsize=8, frameon=True, edgecolor="white", framealpha=0.85)
    ax.set_title(f"ECE {number(error)}", loc="right")
    below.bar(middles, count, 0.92 * width, color=PALE)
    below.set_xlabel("confidence of the answer")
    below.set_ylabel("images")
    return figure


@styled
def ranked_bars(values: Mapping[str, float], marks: Mapping[str, float], axis_title: str, mark_title: str) -> Figure:
    """Values in [0, 1] as bars, the largest on top, each with a mark to compare it with; at most forty.

    Args:
        values: name → value.
        marks: name → mark.
        axis_title: what the bars are.
        mark_title: what the marks are.
    """
    order = sorted(values, key=lambda name: -values[name])
    shown = order if len(order) <= 40 else [*order[:20], *order[-20:]]
    figure = Figure(figsize=(6.4, 0.22 * len(shown) + 0.9))
    ax = figure.add_subplot()
    places = np.arange(len(shown))
    ax.barh(places, [values[name] for name in shown], color=BLUE, height=0.7)
    ax.plot([marks[name] for name in shown], places, "|", color=INK, markersize=9, markeredgewidth=2, label=mark_title)
    for place, name in enumerate(shown):
        ax.annotate(number(values[name]), (max(values[name], marks[name]), place), (5, 0), fontsize=8, va="center",
                    textcoords="offset points")  # fmt: skip
    ax.set_yticks(places, [plain(short(name, 30)) for name in shown])
    ax.set_xlim(0, 1.08)
    ax.invert_yaxis()
    ax.tick_params(length=0)
    ax.set_xlabel(axis_title)
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), fontsize=8, handletextpad=0.1)
    return figure


@styled
def true_and_predicted(columns: Mapping[str, tuple[Numbers, Numbers, str]]) -> Figure:
    """Predicted numbers over the true ones, a panel for each column, with the line where they are equal.

    Args:
        columns: name → (true ``(N,)``, predicted ``(N,)``, a figure to write beside).
    """
    across = min(3, len(columns))
    down = -(-len(columns) // across)
    figure = Figure(figsize=(3.9 * across, 3.7 * down))
    axes = figure.subplots(down, across, squeeze=False).ravel()
    figure.subplots_adjust(wspace=0.3, hspace=0.4)
    for ax, (name, (truth, said, text)) in zip(axes, columns.items(), strict=False):
        low, high = min(truth.min(), said.min()), max(truth.max(), said.max())
        ax.plot([low, high], [low, high], color=INK, linewidth=1, linestyle="--")
        size = float(np.clip(6_000 / len(truth), 3, 22))
        ax.scatter(truth, said, size, color=BLUE, alpha=0.6, linewidths=0)
        ax.set_aspect("equal", adjustable="datalim")
        ax.set_title(plain(short(name, 30)))
        ax.text(0.03, 0.97, text, transform=ax.transAxes, va="top", fontweight="bold")
        ax.set_xlabel("true")
        ax.set_ylabel("predicted")
    for ax in axes[len(columns) :]:
        ax.set_visible(False)
    return figure


@styled
def stage_curve(
    stages: Sequence[str],
    curves: Mapping[str, Sequence[tuple[float, float, float]]],
    axis_title: str = "accuracy",
    chosen: str | None = None,
    level: tuple[str, float] | None = None,
) -> Figure:
    """A figure for each stage of a network, from the first to the last, with intervals: where the features are best.

    Args:
        stages: their names, in order.
        curves: name → (value, lower, upper) for each stage; NaN where there is none.
        axis_title: what the figure is.
        chosen: the stage to mark.
        level: name and value of a line across.
    """
    figure = Figure(figsize=(max(4.8, 0.75 * len(stages) + 1.6), 3.6))
    ax = figure.add_subplot()
    for order, (name, points) in enumerate(curves.items()):
        values = np.array(points, dtype=float).reshape(len(stages), 3)
        places = np.arange(len(stages)) + 0.08 * (order - (len(curves) - 1) / 2)  # bars beside, not over, each other
        colour = PALETTE[order % len(PALETTE)]
        errors = np.maximum(np.abs(values[:, 1:] - values[:, :1]).T, 0)
        ax.errorbar(places, values[:, 0], errors, color=colour, marker="o", markersize=4, linewidth=1.6, capsize=2,
                    elinewidth=1, label=plain(name))  # fmt: skip
    if chosen in stages:
        place = stages.index(str(chosen))
        ax.axvspan(place - 0.4, place + 0.4, color=PALE, alpha=0.45, linewidth=0, zorder=0)
    if level is not None:
        ax.axhline(level[1], color=SOFT, linewidth=1, linestyle=":", label=plain(level[0]))
    ax.set_xticks(range(len(stages)), [plain(short(stage)) for stage in stages], rotation=30, ha="right")
    ax.set_xlim(-0.5, len(stages) - 0.5)
    ax.set_ylabel(axis_title)
    ax.grid(axis="y")
    ax.set_axisbelow(True)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    return figure
