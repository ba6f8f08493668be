"""The look of all plots, and the pieces that they share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dlkit.report.figures import clean

if TYPE_CHECKING:
    from torch import Tensor

P = ParamSpec("P")

# Ten colours that people with any colour vision tell apart, and that differ in lightness: Petroff 2021, "Accessible
# color sequences for data visualization", arXiv:2107.02270 (the ten-colour sequence).
PALETTE = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip
INK, SOFT, PALE, BLUE = "#24292f", "#57606a", "#d0d7de", PALETTE[0]

_STYLE: dict[str, Any] = {
    "text.usetex": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": PALE,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": "#eaeef2",
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
}


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in this style, whatever the user's matplotlibrc says."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return drawn


def plain(text: str) -> str:
    """Text as matplotlib shall show it: no formulas from ``$`` in a class's name, no control characters."""
    return clean(text).replace("$", r"\$")


class Mosaic:
    """Many small pictures in rows and columns on one axes, each crisp: an axes for each takes ten times as long.

    Args:
        rows, columns: how many cells.
        width, height: of a cell, in inches.
        gap: between cells, as a share of their height.
        below: room for text below each cell, likewise.
    """

    def __init__(
        self, rows: int, columns: int, width: float, height: float, gap: float = 0.06, below: float = 0.0
    ) -> None:
        self.width, self.height, self.gap, self.below = width / height, 1.0, gap, below  # a unit is a cell's height
        self.columns, self.rows = columns, rows
        self.figure = Figure(figsize=(columns * (width + gap * height), rows * (1 + gap + below) * height))
        self.ax: Any = self.figure.add_axes((0, 0, 1, 1))
        self.ax.set_axis_off()

    def left(self, column: int) -> float:
        """Where a column begins."""
        return column * (self.width + self.gap)

    def top(self, row: int) -> float:
        """Where a row begins; downwards."""
        return row * (1 + self.gap + self.below)

    def show(self, row: int, column: int, image: Tensor) -> None:
        """One image ``(C, H, W)``, pixels in [0, 1]: grey for C = 1, RGB for C = 3, else the mean of the channels."""
        pixels = image.detach().float().cpu().clamp(0, 1)
        shown = pixels.permute(1, 2, 0) if pixels.shape[0] == 3 else pixels.mean(0)
        self.draw(row, column, shown, cmap="gray", vmin=0, vmax=1)

    def draw(self, row: int, column: int, values: Tensor, **colours: Any) -> None:
        """An array ``(H, W)`` or ``(H, W, 3)`` with matplotlib's colour arguments, a hairline around."""
        left, top = self.left(column), self.top(row)
        extent = (left, left + self.width, top + self.height, top)
        self.ax.imshow(values.numpy(), extent=extent, aspect="auto", interpolation="nearest", **colours)
        self.ax.add_patch(
            Rectangle((left, top), self.width, self.height, fill=False, linewidth=0.5, edgecolor=PALE, zorder=3)
        )

    def finish(self) -> Figure:
        """The figure, with all cells in view."""
        self.ax.set_xlim(0, self.left(self.columns) - self.gap)
        self.ax.set_ylim(self.top(self.rows) - self.gap, 0)
        return self.figure


def short(text: str, most: int = 22, *, end: bool = False) -> str:
    """One line of ``most`` characters at most, cut at its beginning where its ``end`` tells more."""
    text = clean(text)
    if len(text) <= most:
        return text
    return f"…{text[1 - most :]}" if end else f"{text[: most - 1]}…"


def empty(text: str) -> Figure:
    """A figure that says why it shows nothing."""
    figure = Figure(figsize=(3, 0.6))
    figure.text(0.5, 0.5, text, ha="center", va="center", color="#57606a")
    return figure
