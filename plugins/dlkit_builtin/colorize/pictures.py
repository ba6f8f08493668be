"""The colorizer's pictures: images in its colours, the worst of them, and the colours that it uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from matplotlib.colors import LinearSegmentedColormap, LogNorm, to_rgb
from matplotlib.figure import Figure
from torch import Tensor

from dlkit.data.spread import evenly
from dlkit.report import Picture, plots
from dlkit.report.style import INK, styled
from dlkit_builtin.colorize.bins import gamut_bins
from dlkit_builtin.colorize.colours import BATCH, some
from dlkit_builtin.colorize.evaluation import recoloured
from dlkit_builtin.colorize.lab import lab_to_rgb, rgb_to_lab
from dlkit_builtin.colorize.measures import delta_e_2000

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.runtime import Runtime
    from dlkit_builtin.colorize.technique import Colorize

COLUMNS = 12
IMAGES = 500
REACH = 110


def pictures(technique: Colorize, data: ImageData, runtime: Runtime) -> Iterator[Picture]:
    """All pictures, of at most 500 held-out images."""
    shown = some(data.held_out, IMAGES, data.spec, runtime)
    if not len(shown):
        return
    images = shown.pixels()
    colorized = runtime.collect(technique.colorize, shown, BATCH)
    caption = "Held-out images as the network sees them, in its colours, and in the true ones, which it never saw."
    spread = evenly(len(images), COLUMNS)
    yield _rows("colorized", "In colour", caption, images, colorized, spread)
    first, second = rgb_to_lab(colorized), rgb_to_lab(images)
    wrong = torch.cat([delta_e_2000(*pair).mean((1, 2)) for pair in zip(first[:, None], second[:, None], strict=True)])
    worst = wrong.argsort(descending=True)[:COLUMNS]
    caption = "The held-out images whose colours are furthest from the true ones (mean CIEDE2000)."
    yield _rows("worst", "Furthest from the truth", caption, images, colorized, worst)
    caption = (
        "Pixels of held-out images by a (green to red) and b (blue to yellow), as the images are and as they become; "
        "the darker the more, logarithmically. Coloured is what sRGB can show. Colours that shrink towards the middle "
        "are duller than the true ones."
    )
    yield Picture("colours", "Colours in use", caption, _planes({"true": second[:, 1:], "predicted": first[:, 1:]}))


def _rows(name: str, title: str, caption: str, images: Tensor, colorized: Tensor, chosen: Tensor) -> Picture:
    grey = recoloured(images[chosen], torch.zeros_like(images[chosen][:, :2]))
    rows = {"input": grey, "output": colorized[chosen], "true colours": images[chosen]}
    return Picture(name, title, caption, plots.image_grid(list(rows.values()), list(rows)))


@styled
def _planes(panels: dict[str, Tensor]) -> Figure:
    """Histograms of colours ``(N, 2, H, W)`` side by side, on what sRGB can show."""
    figure = Figure(figsize=(3.8 * len(panels), 3.6))
    ink = LinearSegmentedColormap.from_list("ink", [(*to_rgb(INK), 0.25), (*to_rgb(INK), 1.0)])
    for ax, (title, colours) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        _gamut(ax)
        a, b = colours.movedim(1, 0).flatten(1).numpy()
        ax.hist2d(a, b, bins=2 * REACH, range=[[-REACH, REACH]] * 2, norm=LogNorm(vmin=1), cmap=ink, zorder=2)
        ax.set(title=title, xlabel="a", ylabel="b", aspect="equal", xlim=(-REACH, REACH), ylim=(-REACH, REACH))
    figure.subplots_adjust(wspace=0.3)
    return figure


def _gamut(ax: Any) -> None:
    """What sRGB has of each a and b at some lightness, drawn at a lightness of 75."""
    side = 4
    cells = (gamut_bins(side) / side).round().long() + REACH // side
    count = 2 * (REACH // side) + 1
    steps = (torch.arange(count) - REACH // side) * float(side)
    b, a = torch.meshgrid(steps, steps, indexing="ij")
    plane = torch.ones(4, count, count)
    plane[:3] = lab_to_rgb(torch.stack([torch.full_like(a, 75), a, b]).unsqueeze(0))[0]
    plane[3] = 0.0
    plane[3, cells[:, 1], cells[:, 0]] = 0.55
    edge = steps[-1].item() + side / 2
    ax.imshow(plane.permute(1, 2, 0).numpy(), extent=(-edge, edge, -edge, edge), origin="lower", zorder=1)
