"""How the game went: both losses, and what the discriminator says of genuine and of generated images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dlkit.report.style import PALETTE, styled

Row = Mapping[str, Any]

PANELS = {
    "Losses": {"discriminator_loss": "discriminator", "generator_loss": "generator"},
    "The discriminator's output, before σ": {"d_genuine": "D(x), genuine", "d_generated": "D(G(z)), generated"},
    "Diversity of samples, genuine images = 1": {"diversity": "samples"},
}


@styled
def course(rows: Sequence[Row]) -> Figure:
    """A panel for each of :data:`PANELS` from rows of ``metrics.jsonl``, one per epoch."""
    figure = Figure(figsize=(11, 3), layout="constrained")
    for ax, (title, lines) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
        for colour, (name, label) in zip(PALETTE, lines.items(), strict=False):
            points = [(float(row["epoch"]), _value(row, name)) for row in rows]
            ax.plot(*zip(*points, strict=True), color=colour, label=label, linewidth=1.8)
        ax.set_title(title)
        ax.set_xlabel("epoch")
        ax.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
        ax.grid(axis="y")
        ax.set_axisbelow(True)
        if len(lines) > 1:
            ax.legend()
        else:
            ax.set_ylim(0, 1.08 * ax.get_ylim()[1])  # a line that hardly changes is not to touch the frame
    return figure


def _value(row: Row, name: str) -> float:
    """Of training or validation; figures that are not finite are texts there."""
    value = row.get(f"train_{name}", row.get(f"val_{name}", math.nan))
    number = float(value)
    return number if math.isfinite(number) else math.nan
