"""Pictures of a search: gains with their intervals, the policies side by side, and what helps and hurts to look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from matplotlib.figure import Figure
from torch import Tensor

from dlkit.augment import Draws, Policy, Scenes, apply, sample_keys
from dlkit.data.spread import evenly
from dlkit.metrics import Row
from dlkit.report import Picture, plots
from dlkit.report.style import BLUE, INK, PALE, PALETTE, plain, short, styled
from dlkit.supervised.pictures import supervised_pictures
from dlkit_builtin.augment_search.learner import predictions
from dlkit_builtin.augment_search.search import HELPS, HURTS, UNCLEAR

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.runtime import Runtime
    from dlkit_builtin.augment_search.technique import AugmentSearch

_SHOWN, _COPIES, _BARS = 6, 7, 40
_COLOURS = {HELPS: BLUE, HURTS: PALETTE[2], UNCLEAR: PALE}


def pictures(technique: AugmentSearch, data: ImageData, runtime: Runtime) -> Iterator[Picture]:
    """See the module's docstring."""
    rows = technique.rows
    if rows:
        caption = (
            "Gain over no augmentation with its 95 % interval, on training images that were held back. Blue helps, red "
            "hurts; of the others no difference can be told. Few seeds, wide intervals: those were dropped early."
        )
        yield Picture("gains", "Which augmentations help", caption, gains(rows))
    if technique.found:
        doubt = "" if technique.facts["proven"] else " Its gain in the search is no more than chance may explain."
        caption = f"Training images (left) and draws of the policy that was found: {technique.found}.{doubt}"
        images = data.train.pixels(evenly(len(data.train), _SHOWN))
        yield Picture("found", "The policy that was found", caption, _sheet(images, technique.found, runtime))
    for verdict, title in ((HELPS, "What helps"), (HURTS, "What hurts")):
        some = _distinct([row for row in rows if row["verdict"] == verdict], worst=verdict == HURTS)
        if some and len(data.train):
            image = data.train.pixels(torch.zeros(1, dtype=torch.int64))
            drawn = [torch.cat([image, *_draws(image, str(row["policy"]), runtime)]) for row in some]
            caption = "A training image (left) and draws of the augmenters that were found so, the clearest first."
            names = [short(str(row["policy"]), 30) for row in some]
            name = "helping" if verdict == HELPS else "harmful"
            yield Picture(name, title, caption, plots.image_grid(drawn, names))
    yield from supervised_pictures(predictions(technique.best, data.held_out, runtime), data)


def _distinct(rows: Sequence[Row], *, worst: bool) -> list[Row]:
    """One row for each augmenter, the largest effects first."""
    ordered = list(reversed(rows)) if worst else list(rows)
    first: dict[str, Row] = {}
    for row in ordered:
        first.setdefault(str(row["augmenter"]), row)
    return list(first.values())[:_SHOWN]


def _sheet(images: Tensor, policy: str, runtime: Runtime) -> Figure:
    rows = [torch.cat([image[None], *_draws(image[None], policy, runtime, row)]) for row, image in enumerate(images)]
    return plots.image_grid(rows, [""] * len(rows))


def _draws(image: Tensor, policy: str, runtime: Runtime, row: int = 0) -> Iterator[Tensor]:
    """Some images ``(1, C, H, W)`` that the policy makes; each augmenter is applied, whatever its probability.

    Args:
        image: what is augmented.
        policy: how.
        runtime: of the seed.
        row: the draws of one row differ from those of another.
    """
    parsed = Policy.parse(policy)
    steps = Policy(tuple(type(step)(step.name, step.values, 1.0) for step in parsed.steps))
    copies = image.repeat(_COPIES, 1, 1, 1)
    keys = sample_keys(runtime.derive("search pictures", row), torch.arange(_COPIES))
    yield apply(steps, Scenes(copies), Draws(keys)).images


@styled
def gains(rows: Sequence[Row]) -> Figure:
    """A bar with an interval for each policy that was tried, the best on top; the middle is left out of many."""
    shown = list(rows) if len(rows) <= _BARS else [*rows[: _BARS // 2], *rows[-_BARS // 2 :]]
    figure = Figure(figsize=(7.2, 0.24 * len(shown) + 0.9))
    ax = figure.add_subplot()
    for place, row in enumerate(shown):
        value, low, high = (float(row[key]) for key in ("gain", "from", "to"))
        ax.barh(place, value, color=_COLOURS[str(row["verdict"])], height=0.7)
        ax.plot([low, high], [place, place], color=INK, linewidth=1)
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.set_yticks(range(len(shown)), [plain(short(str(row["policy"]), 44)) for row in shown], fontsize=8)
    ax.invert_yaxis()
    ax.tick_params(length=0)
    ax.set_xlabel("points of accuracy over no augmentation")
    if len(shown) < len(rows):
        ax.axhline(len(shown) // 2 - 0.5, color=INK, linewidth=0.8, linestyle=":")
    return figure
