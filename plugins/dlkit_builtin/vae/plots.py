"""Plots of its own: the units' activity, and the ELBO's parts."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure
from torch import Tensor

from dlkit.report.style import BLUE, INK, PALETTE, styled


@styled
def units(activity: Tensor, kl: Tensor, threshold: float) -> Figure:
    """Two bars for each unit, the most active one first.

    Args:
        activity: variance of the posterior mean, ``(Z,)``; on a logarithmic axis.
        kl: mean KL divergence in nats, ``(Z,)``.
        threshold: of activity, drawn as a line.
    """
    order = activity.argsort(descending=True)
    figure = Figure(figsize=(6.4, 3.6))
    above, below = figure.subplots(2, 1, sharex=True)
    places = range(len(order))
    above.bar(places, activity[order].clamp_min(threshold / 100).numpy(), color=BLUE, width=0.8)
    above.set_yscale("log")
    above.axhline(threshold, color=INK, linewidth=0.8, linestyle="--")
    above.set_ylabel("variance of the mean")
    below.bar(places, kl[order].numpy(), color=PALETTE[1], width=0.8)
    below.set_ylabel("KL, nats")
    below.set_xlabel("code unit, sorted")
    below.set_xticks([])
    figure.align_ylabels()
    return figure


@styled
def parts(values: Mapping[str, tuple[float, float]]) -> Figure:
    """Stacked bars.

    Args:
        values: split → −log p(x|z) and KL divergence, nats per image.
    """
    figure = Figure(figsize=(6.4, 0.5 * len(values) + 1.0))
    ax = figure.add_subplot()
    for row, (reconstruction, kl) in enumerate(values.values()):
        end = max(reconstruction, 0.0)  # a density may be above 1, and its negative logarithm below 0
        ax.barh(row, reconstruction, color=BLUE, height=0.6, label="−log p(x|z)" if row == 0 else None)
        ax.barh(row, kl, left=end, color=PALETTE[1], height=0.6, label="KL" if row == 0 else None)
        total = f"{reconstruction:.1f} + {kl:.1f} = {reconstruction + kl:.1f} nats".replace("-", "−")
        ax.annotate(total, (end + kl, row), (5, 0), textcoords="offset points", va="center")
    ax.set_yticks(range(len(values)), list(values))
    ax.tick_params(length=0)
    ax.invert_yaxis()
    ax.margins(x=0.35)
    ax.set_xlabel("nats per image")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return figure
