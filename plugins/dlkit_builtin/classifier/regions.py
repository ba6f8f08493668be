"""What a model says of every point of a plane, as a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

from dlkit.report import plots
from dlkit.report.style import PALETTE, styled

if TYPE_CHECKING:
    from dlkit.data import Split
    from dlkit.data.spec import DataSpec

Extent = tuple[float, float, float, float]
_STEPS = 250


@styled
def regions(answers: Callable[[Tensor], Tensor], places: Tensor, split: Split, spec: DataSpec) -> Figure:
    """The plane coloured by the likeliest class, by the first label's score or by the first number; and the images.

    Args:
        answers: points ``(n, 2)`` → outputs ``(n, K)``.
        places: of the images of ``split``, ``(N, 2)``.
        split: whose labels (or first targets) colour the points.
        spec: the data's.
    """
    low, high = places.amin(0), places.amax(0)
    margin = 0.06 * (high - low).clamp(min=1e-6)
    (left, bottom), (right, top) = (low - margin).tolist(), (high + margin).tolist()
    x, y = torch.linspace(left, right, _STEPS), torch.linspace(bottom, top, _STEPS)
    said = answers(torch.cartesian_prod(x, y)).view(_STEPS, _STEPS, -1).transpose(0, 1)  # rows are y
    extent = (left, right, bottom, top)
    if spec.target == "classes":
        figure = plots.scatter(places, split.labels, spec.classes)
        _colour_classes(figure.axes[0], said.argmax(2), split, extent)
    else:
        figure = _values(places, split, spec, said[:, :, 0], extent)
    figure.axes[0].set_xlim(left, right)
    figure.axes[0].set_ylim(bottom, top)
    return figure


def _colour_classes(ax: Any, likeliest: Tensor, split: Split, extent: Extent) -> None:
    """In the colours that the points of :func:`plots.scatter` have; white for classes that no point has."""
    assert split.labels is not None  # noqa: S101 - they are classes
    commonest = Counter(split.labels[split.labels >= 0].tolist()).most_common(plots.MAX_CLASSES)
    order = {label: index % len(PALETTE) for index, label in enumerate(sorted(label for label, _ in commonest))}
    numbers = np.vectorize(lambda label: order.get(label, len(PALETTE)))(likeliest.numpy())
    ax.imshow(numbers, origin="lower", extent=extent, aspect="auto", interpolation="nearest", alpha=0.3, zorder=0,
              cmap=ListedColormap([*PALETTE, "#ffffff"]), vmin=0, vmax=len(PALETTE))  # fmt: skip


def _values(places: Tensor, split: Split, spec: DataSpec, said: Tensor, extent: Extent) -> Figure:
    assert split.targets is not None  # noqa: S101 - they are labels or numbers
    true = split.targets[:, 0].numpy()
    low, high = float(np.nanmin(true)), float(np.nanmax(true))
    figure = Figure(figsize=(7.2, 5.4))
    ax = figure.add_subplot()
    colours: dict[str, Any] = {"cmap": "viridis", "vmin": low, "vmax": high if high > low else low + 1}
    image = ax.imshow(said.numpy(), origin="lower", extent=extent, aspect="auto", alpha=0.6, **colours)
    ax.scatter(places[:, 0], places[:, 1], c=true, s=14, edgecolors="white", linewidths=0.4, **colours)
    figure.colorbar(image, ax=ax, label=spec.classes[0])
    return figure
