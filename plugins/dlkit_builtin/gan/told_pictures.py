"""What a conditional generator makes of what it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dlkit.report import Picture, plots

if TYPE_CHECKING:
    from dlkit.runtime import Runtime
    from dlkit_builtin.gan.cgan import Cgan

COLUMNS, MOST_CLASSES, MOST_LABELS = 12, 20, 8
_ENDS = (0.05, 0.95)
"""Of a number's distribution."""


def told_pictures(technique: Cgan, runtime: Runtime) -> Picture:
    """Class × sample; or what each label or number changes."""
    return _classes(technique, runtime) if technique.spec.target == "classes" else _values(technique, runtime)


def _classes(technique: Cgan, runtime: Runtime) -> Picture:
    """The same noise in each column."""
    names = technique.spec.classes[:MOST_CLASSES]
    noise = technique.draw(COLUMNS, runtime.generator("class grid"))
    labels = torch.arange(len(names)).repeat_interleave(COLUMNS)
    images = _decoded(technique, noise.repeat(len(names), 1), labels, runtime)
    caption = "A row for each class; images of a column are made of the same noise. A row of equals has collapsed."
    return Picture("classes", "Class by class", caption, plots.image_grid(torch.split(images, COLUMNS), [*names]))


def _values(technique: Cgan, runtime: Runtime) -> Picture:
    """A row for each label or number, which goes from one end to the other while all else stays the same."""
    kept, names = technique.conditions.kept.cpu(), technique.spec.classes[:MOST_LABELS]
    noise = technique.draw(1, runtime.generator("value grid")).expand(COLUMNS, -1)
    rows, titles = [], []
    for place, name in enumerate(names):
        if technique.spec.target == "multi-label":
            low, high = 0.0, 1.0
        else:
            low, high = (float(end) for end in kept[:, place].quantile(torch.tensor(_ENDS)))
        labels = kept[:1].repeat(COLUMNS, 1)
        labels[:, place] = torch.linspace(low, high, COLUMNS)
        rows.append(_decoded(technique, noise, labels, runtime))
        titles.append(f"{plots.short(name, 14)}: {low:.3g} … {high:.3g}")
    caption = "From left to right one label or number goes from low to high; noise and all others stay as they are."
    return Picture("values", "Label by label", caption, plots.image_grid(rows, titles))


def _decoded(technique: Cgan, noise: Tensor, labels: Tensor, runtime: Runtime) -> Tensor:
    with runtime.inference():
        return technique.decode(noise, labels.to(runtime.device)).float().cpu()
