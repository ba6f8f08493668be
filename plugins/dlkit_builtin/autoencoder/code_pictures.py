"""Pictures of a code of which something is asked: how active its units are, what each one draws."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from matplotlib.figure import Figure
from torch import Tensor

from dlkit.report import Picture, plots
from dlkit.report.style import BLUE, PALE, PALETTE, styled
from dlkit_builtin.autoencoder.options import capabilities

if TYPE_CHECKING:
    from dlkit_builtin.autoencoder.evaluation import Sample
    from dlkit_builtin.autoencoder.technique import Autoencoder

UNITS = 100
BINS = 60


def asks_of_code(technique: Autoencoder) -> bool:
    """Whether the code's units are more than coordinates: constrained, non-linear, or right behind the pixels."""
    options = technique.options
    return bool(options.sparse or options.contractive or options.shallow or options.unit != "linear")


def code_pictures(technique: Autoencoder, shown: Sample) -> Iterator[Picture]:
    """Activations of the units, and what they draw where a code can be decoded."""
    target = technique.options.sparse.target if technique.options.sparse is not None else 0.0
    caption = (
        f"Left: activations of all {technique.code} code units on {len(shown.codes):,} held-out images, on a "
        "logarithmic axis. Right: each unit's mean, and the share of images on which it is above a tenth of its "
        "largest; ordered by mean."
    )
    yield Picture("code-activations", "Code activations", caption, activations(shown.codes, target or None))
    if "decode" in capabilities(technique.options):
        caption = (
            "What is added to the mean image's reconstruction when one code unit grows by a standard deviation: red "
            "above zero, blue below."
        )
        if technique.code > UNITS:
            caption += f" The {UNITS} units that change it most."
        yield Picture("code-units", "What code units draw", caption, plots.filters(unit_images(technique, shown.codes)))


def unit_images(technique: Autoencoder, codes: Tensor) -> Tensor:
    """g(z̄ + σⱼ eⱼ) − g(z̄) for each code unit j, before the output's non-linearity: ``(Z, C, H, W)`` on the CPU."""
    network = technique.network.eval()
    device = next(network.parameters()).device
    mean, deviations = codes.mean(0), codes.std(0)
    steps = torch.cat([mean[None], mean + torch.diag(deviations)])
    with torch.no_grad():
        images = torch.cat([network.decoder(part.to(device), []).float().cpu() for part in torch.split(steps, 500)])
    changes = images[1:] - images[0]
    return changes[changes.flatten(1).norm(dim=1).topk(min(UNITS, len(changes))).indices]


@styled
def activations(codes: Tensor, target: float | None) -> Figure:
    """A histogram of all activations, and each unit's mean and share of active images.

    Args:
        codes: ``(N, Z)``.
        target: the mean activation that was asked for.
    """
    figure = Figure(figsize=(8.4, 3.0))
    left, right = figure.subplots(1, 2)
    left.hist(codes.flatten().numpy(), bins=BINS, color=BLUE, log=True)
    left.set_xlabel("activation")
    left.set_ylabel("units × images")
    means = codes.mean(0)
    order = means.argsort(descending=True)
    share = (codes.abs() > 0.1 * codes.abs().amax(0)).float().mean(0)
    units = range(1, len(order) + 1)
    right.plot(units, means[order].numpy(), color=BLUE, label="mean activation")
    right.plot(units, share[order].numpy(), ".", markersize=4, color=PALETTE[1], label="share of images")
    if target is not None:
        right.axhline(target, color=PALE, zorder=0, label=f"asked for: {target:g}")
    right.set_xlabel("code units, by mean")
    right.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, fontsize=8, borderaxespad=0.2)
    figure.subplots_adjust(wspace=0.25)
    return figure
