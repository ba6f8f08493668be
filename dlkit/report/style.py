"""The look of all plots, and the pieces that they share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec

import matplotlib as mpl
from matplotlib.figure import Figure

from dlkit.report.figures import clean

if TYPE_CHECKING:
    from torch import Tensor

P = ParamSpec("P")

# Ten colours that people with any colour vision tell apart, and that differ in lightness: Petroff 2021, "Accessible
# color sequences for data visualization", arXiv:2107.02270 (the ten-colour sequence).
PALETTE = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip
INK, PALE, BLUE = "#24292f", "#d0d7de", PALETTE[0]

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


def show_image(ax: Any, image: Tensor) -> None:
    """One image ``(C, H, W)``, pixels in [0, 1]: crisp pixels, grey for C = 1, RGB for C = 3, else the mean."""
    pixels = image.detach().float().cpu().clamp(0, 1)
    shown = pixels.permute(1, 2, 0) if pixels.shape[0] == 3 else pixels.mean(0)
    ax.imshow(shown.numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    bare(ax)


def bare(ax: Any) -> None:
    """No ticks, a hairline around."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set(visible=True, linewidth=0.5, color=PALE)


def empty(text: str) -> Figure:
    """A figure that says why it shows nothing."""
    figure = Figure(figsize=(3, 0.6))
    figure.text(0.5, 0.5, text, ha="center", va="center", color="#57606a")
    return figure
