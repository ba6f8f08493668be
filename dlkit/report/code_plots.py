"""Plots of codes: rate and distortion, the plane of a code of two units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from dlkit.metrics import Row
from dlkit.report.style import BLUE, INK, PALE, PALETTE, styled

if TYPE_CHECKING:
    from torch import Tensor

_NAMED = (1, 2, 3, 4, 6, 8, 12, 16)
"""Bits that stand below their marks."""


@styled
def rate_distortion_curves(rows: Sequence[Row], jpeg: Sequence[Row]) -> Figure:
    """PSNR over bytes per image: the code and PCA by bits, JPEG by quality as far as they go.

    Args:
        rows: ``bits``, ``bytes per image``, ``PSNR (dB)``, ``PCA PSNR (dB)``.
        jpeg: ``bytes of data``, ``bytes of the file``, ``PSNR (dB)``; may be empty.
    """
    figure = Figure(figsize=(6.6, 4.2))
    ax = figure.add_subplot()
    sizes, own = _column(rows, "bytes per image"), _column(rows, "PSNR (dB)")
    ax.plot(sizes, own, "o-", color=BLUE, markersize=4, label="this code", zorder=3)
    for row, size, value in zip(rows, sizes, own, strict=True):
        if row["bits"] in _NAMED:
            ax.annotate(str(row["bits"]), (size, value), (0, -11), textcoords="offset points", ha="center", fontsize=7)
    other = _column(rows, "PCA PSNR (dB)")
    ax.plot(sizes, other, "s-", color=PALETTE[1], markersize=3.5, label="PCA")
    lowest, highest = min(own + other), max(own + other)
    if jpeg:
        decibels = _column(jpeg, "PSNR (dB)")
        ax.plot(_column(jpeg, "bytes of data"), decibels, "^-", color=PALETTE[2], markersize=3.5, label="JPEG, data")
        ax.plot(_column(jpeg, "bytes of the file"), decibels, ":", color=PALETTE[2], label="JPEG, whole file")
        lowest, highest = min(lowest, *decibels), max(highest, min(decibels) + 2)
    ax.set_ylim(lowest - 1.5, highest + 1)  # JPEG gets much better with many more bytes, which is not the question
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_locator(LogLocator(base=2, numticks=12))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("bytes per image")
    ax.set_ylabel("PSNR in dB (mean over images)")
    ax.grid(axis="y", color=INK, alpha=0.08)
    ax.set_axisbelow(True)
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _column(rows: Sequence[Row], name: str) -> list[Any]:
    return [row[name] for row in rows]


@styled
def image_plane(whole: Tensor, count: int, x: Sequence[float], y: Sequence[float]) -> Figure:
    """Images in a plane, over the values of two units.

    Args:
        whole: ``count × count`` images as one, ``(1 or 3, H, W)``.
        count: images along a side.
        x, y: the two units' values at the middles of the first and of the last image.
    """
    height, width = whole.shape[1:]
    inches = min(14.0, max(7.0, width / 110))
    figure = Figure(figsize=(inches, inches * height / width))
    ax = figure.add_subplot()
    pixels = whole.clamp(0, 1).permute(1, 2, 0).numpy()
    half = [(high - low) / (count - 1) / 2 if count > 1 else 0.5 for low, high in (x, y)]
    extent = (x[0] - half[0], x[1] + half[0], y[0] - half[1], y[1] + half[1])
    ax.imshow(pixels[:, :, 0] if len(whole) == 1 else pixels, cmap="gray", vmin=0, vmax=1, extent=extent,
              aspect="auto", interpolation="nearest")  # fmt: skip
    ax.set_xticks([extent[0] + 2 * half[0] * place for place in range(1, count)], minor=True)
    ax.set_yticks([extent[2] + 2 * half[1] * place for place in range(1, count)], minor=True)
    ax.tick_params(which="minor", length=0)
    ax.grid(which="minor", color=PALE, linewidth=0.5)  # where one image ends and the next begins
    ax.set_xlabel("first unit")
    ax.set_ylabel("second unit")
    return figure
