"""Plots that all techniques share, as matplotlib figures; the object interface only, never pyplot's global state."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from dlkit.metrics import Metric
from dlkit.report.curves import learning_curves as learning_curves
from dlkit.report.figures import ARROWS, with_unit
from dlkit.report.label_plots import captioned as captioned
from dlkit.report.label_plots import confusion as confusion
from dlkit.report.label_plots import ranked_bars as ranked_bars
from dlkit.report.label_plots import reliability as reliability
from dlkit.report.label_plots import stage_curve as stage_curve
from dlkit.report.label_plots import true_and_predicted as true_and_predicted
from dlkit.report.style import BLUE, INK, PALE, PALETTE, Mosaic, empty, plain, styled
from dlkit.report.style import short as short

if TYPE_CHECKING:
    from torch import Tensor

MAX_CLASSES = 2 * len(PALETTE)


@styled
def image_grid(
    rows: Sequence[Tensor],
    row_titles: Sequence[str],
    column_titles: Sequence[str] | None = None,
    cell: float = 0.8,
) -> Figure:
    """Rows of images, one below the other: input, output, target…

    Args:
        rows: each ``(n, C, H, W)``, pixels in [0, 1] (clipped), C = 1 or 3; rows may differ in n.
        row_titles: one for each row, may be empty texts.
        column_titles: one for each column, of one or several lines.
        cell: height of an image in inches.
    """
    columns = max((len(row) for row in rows), default=0)
    if columns == 0:
        return empty("no images")
    mosaic = Mosaic(len(rows), columns, cell * rows[0].shape[-1] / rows[0].shape[-2], cell)
    for row, (images, title) in enumerate(zip(rows, row_titles, strict=True)):
        for column, image in enumerate(images):
            mosaic.show(row, column, image)
        mosaic.ax.text(-0.12, mosaic.top(row) + 0.5, plain(title), ha="right", va="center")
    for column, title in enumerate(column_titles or ()):
        lines = "\n".join(map(plain, title.split("\n")))
        mosaic.ax.text(mosaic.left(column) + mosaic.width / 2, -0.06, lines, fontsize=8, ha="center", va="bottom")
    return mosaic.finish()


def samples(images: Tensor, labels: Tensor | None = None, classes: Sequence[str] = (), columns: int = 12) -> Figure:
    """What a data set looks like: a row of images for each of the first ten classes, or six rows in order.

    Args:
        images: ``(N, C, H, W)``, pixels in [0, 1].
        labels: int ``(N,)``, −1 where unlabelled.
        classes: names that the labels refer to.
        columns: images in a row.
    """
    present = [] if labels is None else sorted(set(labels[labels >= 0].tolist()))[:10]
    if labels is None or not present:
        rows = [images[start : start + columns] for start in range(0, min(len(images), 6 * columns), columns)]
        return image_grid(rows, [""] * len(rows))
    names = [classes[label] if label < len(classes) else str(label) for label in present]
    return image_grid([images[labels == label][:columns] for label in present], names)


@styled
def filters(weights: Tensor, columns: int = 16, limit: int = 128) -> Figure:
    """Filters of a first layer, each on its own symmetric scale: red above zero, blue below, white at zero.

    Args:
        weights: ``(n, C, h, w)``; RGB filters (C = 3) are shown in colour around mid-grey, others channel by
            channel where C = 1, else as the mean over channels.
        columns: filters in a row.
        limit: how many are shown, the largest by norm, in their own order.
    """
    kernels = weights.detach().float().cpu()
    if len(kernels) == 0:
        return empty("no filters")
    kept = kernels.flatten(1).norm(dim=1).topk(min(limit, len(kernels))).indices.sort().values
    kernels = kernels[kept]
    columns = min(columns, len(kernels))
    count = math.ceil(len(kernels) / columns)
    mosaic = Mosaic(count, columns, 0.5, 0.5, gap=0.1)
    for index, kernel in enumerate(kernels):
        row, column = divmod(index, columns)
        bound = float(kernel.abs().max()) or 1.0
        if kernel.shape[0] == 3:
            mosaic.show(row, column, kernel / (2 * bound) + 0.5)
        else:
            mosaic.draw(row, column, kernel.mean(0), cmap="RdBu_r", vmin=-bound, vmax=bound)
    return mosaic.finish()


@styled
def scatter(
    points: Tensor,
    labels: Tensor | None = None,
    classes: Sequence[str] = (),
    axis_titles: tuple[str, str] = ("", ""),
) -> Figure:
    """Points in the plane, coloured by class; the commonest twenty classes are told apart, the rest is grey.

    Args:
        points: ``(N, 2)``.
        labels: int ``(N,)``, −1 where unlabelled; None draws all points alike.
        classes: names that the labels refer to.
        axis_titles: what the axes are.
    """
    figure = Figure(figsize=(7.2, 5.4))
    ax = figure.add_subplot()
    handles, names = _points(ax, points, labels, classes)
    if handles and labels is not None and bool((labels >= 0).any()):
        _legend(ax, handles, names)
    ax.set_xlabel(axis_titles[0])
    ax.set_ylabel(axis_titles[1])
    return figure


@styled
def scatters(panels: Mapping[str, Tensor], labels: Tensor, classes: Sequence[str] = ()) -> Figure:
    """The same images as points in several planes, side by side, coloured as in :func:`scatter`.

    Args:
        panels: title → ``(N, 2)``.
        labels: int ``(N,)``, −1 where unlabelled.
        classes: names that the labels refer to.
    """
    figure = Figure(figsize=(4.6 * len(panels), 4.2))
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for ax, (title, points) in zip(axes, panels.items(), strict=True):
        handles, names = _points(ax, points, labels, classes)
        ax.set_title(plain(title))
    figure.subplots_adjust(wspace=0.06)
    if bool((labels >= 0).any()):
        _legend(axes[-1], handles, names)
    return figure


def _points(ax: Any, points: Tensor, labels: Tensor | None, classes: Sequence[str]) -> tuple[list[Any], list[str]]:
    """Draw the points and the names of their classes; handles and texts for a legend."""
    places = points.detach().float().cpu().numpy()
    size = float(np.clip(14_000 / max(len(places), 1), 4, 24))
    given = np.full(len(places), -1) if labels is None else labels.cpu().numpy()
    counts = Counter(int(label) for label in given if label >= 0)
    kept = sorted(label for label, _ in counts.most_common(MAX_CLASSES))
    rest = ~np.isin(given, kept)
    handles, names = [], []
    if rest.any():
        handles.append(ax.scatter(places[rest, 0], places[rest, 1], size, color=PALE, linewidths=0))
        names.append("unlabelled" if not counts or (given[rest] < 0).all() else "other classes")
    for order, label in enumerate(kept):
        x, y = places[given == label].T
        colour, marker = PALETTE[order % len(PALETTE)], "o" if order < len(PALETTE) else "^"
        handles.append(ax.scatter(x, y, size, color=colour, marker=marker, alpha=0.75, linewidths=0))
        names.append(plain(classes[label]) if label < len(classes) else str(label))
    if kept:
        _name_clusters(ax, places, given, dict(zip(kept, names[len(names) - len(kept) :], strict=True)))
    ax.set_xticks([])
    ax.set_yticks([])
    return handles, names


@styled
def comparison(metric: Metric) -> Figure:
    """One figure as a bar beside its baselines, with its interval."""
    names = [metric.label, *metric.baselines]
    values = [metric.value, *metric.baselines.values()]
    figure = Figure(figsize=(6.4, 0.36 * len(names) + 0.7))
    ax = figure.add_subplot()
    ax.barh(range(len(names)), values, color=[BLUE, *[PALE] * len(metric.baselines)], height=0.66)
    ends = [metric.interval[1] if metric.interval else metric.value, *metric.baselines.values()]
    for row, (end, value) in enumerate(zip(ends, values, strict=True)):
        ax.annotate(with_unit(value, plain(metric.unit)), (end, row), (5, 0), textcoords="offset points", va="center")
    if metric.interval is not None:
        errors = [[metric.value - metric.interval[0]], [metric.interval[1] - metric.value]]
        ax.errorbar(metric.value, 0, xerr=errors, color=INK, capsize=3, linewidth=1)
    ax.set_yticks(range(len(names)), [plain(name) for name in names])
    ax.tick_params(length=0)
    ax.invert_yaxis()
    ax.margins(x=0.15)
    ax.set_xticks([])
    ax.spines[["bottom"]].set_visible(False)
    ax.set_title(f"{plain(metric.label)} on {plain(metric.split)} ({ARROWS[metric.better]} is better)")
    return figure


@styled
def heatmap(
    matrix: Tensor,
    row_names: Sequence[str] = (),
    column_names: Sequence[str] = (),
    axis_titles: tuple[str, str] = ("", ""),
) -> Figure:
    """A matrix ``(R, K)`` as coloured cells, with numbers where there is room (a confusion matrix, similarities).

    ``axis_titles`` names the columns' axis, then the rows'.
    """
    values = matrix.detach().cpu().numpy()
    height, width = values.shape
    cell = 0.5 if max(height, width) <= 20 else 10 / max(height, width)
    figure = Figure(figsize=(width * cell + 1.2, height * cell + 0.6))
    ax = figure.add_subplot()
    image = ax.imshow(values, cmap="Blues" if values.min() >= 0 else "RdBu_r", interpolation="nearest", aspect="equal")
    if values.min() < 0:
        bound = float(np.abs(values).max())
        image.set_clim(-bound, bound)
    if max(height, width) <= 20:
        for (row, column), value in np.ndenumerate(values):
            red, green, blue, _ = image.cmap(image.norm(value))
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5  # luma of ITU-R BT.601
            ax.text(
                column, row, _cell_text(value), ha="center", va="center", fontsize=7, color="white" if dark else INK
            )
    ax.set_xticks(range(len(column_names)), [plain(name) for name in column_names], rotation=45, ha="right")
    ax.set_yticks(range(len(row_names)), [plain(name) for name in row_names])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xlabel(axis_titles[0])
    ax.set_ylabel(axis_titles[1])
    return figure


def _name_clusters(ax: Any, places: Any, given: Any, names: dict[int, str]) -> None:
    """Write a class's name at the median of its points, so that colour is not the only way to tell; a name that
    would cover an earlier one is left to the legend."""
    extent = np.maximum(np.ptp(places, axis=0), 1e-12)
    taken: list[Any] = []
    for label, name in names.items():
        middle = np.median(places[given == label], axis=0)
        if any((np.abs(middle - other) / extent < (0.12, 0.04)).all() for other in taken):
            continue
        taken.append(middle)
        text = ax.text(
            *middle,
            name if len(name) <= 18 else f"{name[:17]}…",
            ha="center",
            va="center",
            fontsize=9,
            fontweight="bold",
        )
        text.set_path_effects([withStroke(linewidth=3, foreground="white", alpha=0.85)])


def _legend(ax: Any, handles: list[Any], names: list[str]) -> None:
    # The texts are set afterwards: matplotlib drops legend labels that begin with an underscore.
    legend = ax.legend(handles, ["."] * len(handles), loc="center left", bbox_to_anchor=(1.0, 0.5), handletextpad=0.3)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_text(name)
    for handle in legend.legend_handles:
        handle.set(alpha=1, sizes=[28])


def _cell_text(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:.2f}"
