"""Pictures of Boltzmann machines: filters, chains, reconstructions, free energies, activities."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from matplotlib.figure import Figure
from torch import Tensor

from dlkit.data.spread import evenly
from dlkit.report import Picture, plots
from dlkit.report.style import BLUE, PALE, styled
from dlkit_builtin.boltzmann.evaluation import parts
from dlkit_builtin.boltzmann.likelihood import energies, visible_states

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.runtime import Runtime
    from dlkit_builtin.boltzmann.dbn import Dbn
    from dlkit_builtin.boltzmann.rbm import Rbm
    from dlkit_builtin.boltzmann.stack import Boltzmann

COLUMNS = 12
FILTERS = 96
SHOWN = 100
"""Images and units in the picture of activities."""


def rbm_pictures(technique: Rbm, data: ImageData, runtime: Runtime) -> Iterator[Picture]:
    """All pictures of an RBM."""
    technique.stack.to(runtime.device).eval()
    yield filters(technique)
    yield chains(technique, runtime)
    yield reconstructions(technique, data, runtime)
    yield _free_energies(technique, data, runtime)
    yield _activities(technique, data, runtime)


def dbn_pictures(technique: Dbn, data: ImageData, runtime: Runtime) -> Iterator[Picture]:
    """All pictures of a deep belief network."""
    technique.stack.to(runtime.device).eval()
    yield _beside(technique, data, runtime)
    yield chains(technique, runtime)
    yield reconstructions(technique, data, runtime)
    yield filters(technique)


@torch.no_grad()
def _beside(technique: Dbn, data: ImageData, runtime: Runtime) -> Picture:
    count = 4 * COLUMNS
    drawn = technique.generate(count, runtime.generator("samples of the report")).cpu()
    rows = [drawn[start : start + COLUMNS] for start in range(0, count, COLUMNS)]
    real = data.held_out.pixels(torch.arange(min(2 * COLUMNS, len(data.held_out))))
    rows += [real[start : start + COLUMNS] for start in range(0, len(real), COLUMNS)]
    names = ["drawn", *[""] * (count // COLUMNS - 1), "real", *[""] * (len(rows) - count // COLUMNS - 1)]
    caption = (
        f"Images drawn from the network, each by a Gibbs chain of its own of {technique.steps:,} steps in the top "
        "machine and one way down; below them held-out images, which are not their models."
    )
    return Picture("generated", "Images drawn", caption, plots.image_grid(rows, names))


def filters(technique: Boltzmann) -> Picture:
    """Weights of the first machine, the strongest first."""
    weights = technique.stack.first.weight.detach().cpu()
    order = weights.norm(dim=1).argsort(descending=True)[:FILTERS]
    caption = (
        f"Weights from the pixels to {len(order)} of the {len(weights)} hidden units of the first layer, the largest "
        "by norm first, each on its own scale. Strokes and blobs are learned; salt and pepper is the start still."
    )
    figure = plots.filters(weights[order].view(-1, *technique.stack.shape), limit=FILTERS)
    return Picture("filters", "Filters", caption, figure)


@torch.no_grad()
def chains(technique: Boltzmann, runtime: Runtime) -> Picture:
    """The same chains after more and more Gibbs steps."""
    last = technique.steps
    stops = sorted({1, *(10**power for power in range(1, 7) if 10**power < last), last})
    generator = runtime.generator("chains of the report")
    top = technique.stack.top
    units = top.noise(COLUMNS, generator)
    rows, done = [], 0
    for stop in stops:
        if stop - done > 1:
            units, _ = top.gibbs(units, stop - done - 1, generator)
        units, hidden = top.gibbs(units, 1, generator)
        rows.append(technique.down(hidden, generator).cpu())
        done = stop
    names = [f"{stop:,} step{'s' if stop > 1 else ''}" for stop in stops]
    caption = (
        f"{COLUMNS} Gibbs chains that start from independent pixels: the means of the visible units after so many steps"
        ". `dlkit generate` gives the last row's like."
    )
    return Picture("gibbs", "Gibbs chains", caption, plots.image_grid(rows, names))


def reconstructions(technique: Boltzmann, data: ImageData, runtime: Runtime) -> Picture:
    """Held-out images, up and down again."""
    few = data.held_out.subset(torch.arange(min(COLUMNS, len(data.held_out))))
    images, restored = few.pixels(), runtime.collect(technique.reconstruct, few)
    rows = [images, restored, (restored - images).abs()]
    caption = "Held-out images, what comes back by way of the hidden units' probabilities, and the absolute difference."
    figure = plots.image_grid(rows, ["image", "reconstruction", "difference"])
    return Picture("reconstructions", "Reconstructions", caption, figure)


def _free_energies(technique: Rbm, data: ImageData, runtime: Runtime) -> Picture:
    shown = [visible_states(technique.machine, technique.stack.normalize, split, runtime) for split in parts(data)]
    values = {each.name: energies(technique.machine, each.units, runtime) for each in shown}
    caption = (
        "Free energies F(v) = −log p(v) − log Z of training and of held-out images. Where held-out images lie to the "
        "right of training images, the machine has learned these by heart."
    )
    return Picture("free-energy", "Free energy", caption, histograms(values, "free energy, nats"))


def _activities(technique: Rbm, data: ImageData, runtime: Runtime) -> Picture:
    few = data.held_out.subset(torch.arange(min(SHOWN, len(data.held_out))))
    codes = runtime.collect(technique.encode, few)
    busy = codes.mean(0).argsort(descending=True)
    chosen = busy[evenly(len(busy), SHOWN)]
    caption = (
        "How probably hidden units (columns, the busiest left) are on for held-out images (rows): white 1, black 0. A "
        "column of one colour is a unit that is always or never on; rows that look alike are images that it cannot "
        "tell apart (Hinton 2010, section 16)."
    )
    return Picture(
        "activities", "Hidden activities", caption, plots.image_grid([codes[None, None][..., chosen]], [""], cell=4)
    )


@styled
def histograms(values: dict[str, Tensor], axis: str) -> Figure:
    """Of several samples on one axis, as densities."""
    figure = Figure(figsize=(6.4, 3.2))
    ax = figure.add_subplot()
    everything = torch.cat(list(values.values())).numpy()
    colours = dict(zip(values, [BLUE, "#8c959f"], strict=False))
    for name, sample in values.items():
        ax.hist(
            sample.numpy(), bins=50, range=(everything.min(), everything.max()), density=True, label=name,
            histtype="stepfilled", alpha=0.5, color=colours.get(name, PALE), edgecolor=colours.get(name, PALE),
        )  # fmt: skip
    ax.set_xlabel(axis)
    ax.set_yticks([])
    ax.legend()
    return figure
