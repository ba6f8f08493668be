"""What a generative adversarial network is shown by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dlkit.judging.distances import nearest
from dlkit.judging.verdict import generated
from dlkit.report import Picture, plots
from dlkit_builtin.gan.course import course
from dlkit_builtin.gan.snapshots import SHOWN

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.runtime import Runtime
    from dlkit_builtin.gan.technique import Gan

ROWS, COLUMNS = 6, 12
_STEPS, _WALKS = 10, 4
_LINES = 4
"""Of a column's title."""
_GALLERY = 10_000


def pictures(technique: Gan, data: ImageData, runtime: Runtime) -> Iterator[Picture]:
    """Samples, samples over time, the game's course, a walk through the noise, copies."""
    images = generated(technique.generate, ROWS * COLUMNS, runtime, "pictures")
    caption = "New images from noise, not chosen. Look for several alike: a sign of collapse."
    yield Picture("generated", "Generated images", caption, plots.image_grid(torch.split(images, COLUMNS), [""] * ROWS))
    over_time = technique.over_time
    if over_time:
        caption = "The same noise at moments of training; each row is an epoch. samples/over-time.gif shows it moving."
        names = [f"epoch {epoch}" for epoch in over_time]
        figure = plots.image_grid(list(over_time.values()), names, columns_told(technique, SHOWN))
        yield Picture("over-time", "Over time", caption, figure)
    if len(technique.course) > 1:
        caption = (
            "Means over epochs. Healthy: both losses go on fighting, and D(x) stays above D(G(z)) by a little. D has "
            "won where they part for good. Where they are the same D cannot tell images apart: they are good, or D is "
            "weak, which the figures tell."
        )
        yield Picture("game", "The game", caption, course(technique.course))
    walks = [walk(technique, runtime, number) for number in range(_WALKS)]
    caption = "Noise changes smoothly from left to right. Jumps are a sign of learning by heart."
    yield Picture("walk", "A walk through the noise", caption, plots.image_grid(walks, rows_told(technique, _WALKS)))
    if len(data.train):
        yield _nearest(images, data, runtime)


def walk(technique: Gan, runtime: Runtime, number: int) -> Tensor:
    """Images between two points of the noise, ``(n, C, H, W)``, along the great circle, where noise is likely."""
    generator = runtime.generator("walk", number, device="cpu")
    ends = torch.randn(2, technique.options.latent, generator=generator)
    angle = torch.linspace(0, torch.pi / 2, _STEPS)[:, None]
    # Two draws in many dimensions are nearly orthogonal and of one length, so this is nearly the circle's arc.
    noise = angle.cos() * ends[:1] + angle.sin() * ends[1:]
    labels = technique.examples(number + 1)
    asked = None if labels is None else labels[number:].expand(_STEPS, *labels.shape[1:]).to(runtime.device)
    with runtime.inference():
        return technique.decode(noise.to(runtime.device), asked).float().cpu()


def told(technique: Gan, count: int) -> list[list[str]]:
    """What the first examples are asked to be: a class, the labels they have, or names with numbers; nothing."""
    labels, names = technique.examples(count), technique.spec.classes
    if labels is None:
        return [[]] * count
    if technique.spec.target == "classes":
        return [[names[label]] for label in labels.tolist()]
    if technique.spec.target == "multi-label":
        return [[name for name, has in zip(names, row, strict=True) if has] or ["none"] for row in labels.tolist()]
    return [[f"{name} {value:.3g}" for name, value in zip(names, row, strict=True)] for row in labels.tolist()]


def columns_told(technique: Gan, count: int) -> list[str] | None:
    """The same as titles of columns: a line for each label, as many and as long as there is room."""
    if technique.conditions is None:
        return None
    most = max(4, 11 * technique.spec.width // technique.spec.height)
    lines = [words if len(words) <= _LINES else [*words[: _LINES - 1], "…"] for words in told(technique, count)]
    return ["\n".join(plots.short(line, most) for line in each) for each in lines]


def rows_told(technique: Gan, count: int) -> list[str]:
    """The same as titles of rows."""
    return [plots.short(", ".join(words), 28) for words in told(technique, count)]


def _nearest(images: Tensor, data: ImageData, runtime: Runtime) -> Picture:
    """Those of the generated images that are nearest to a training image, above it."""
    chosen = torch.randperm(len(data.train), generator=runtime.generator("gallery", device="cpu"))[:_GALLERY]
    gallery = data.train.pixels(chosen)
    places, distances = nearest(images.flatten(1).double().numpy(), gallery.flatten(1).double().numpy())
    order = torch.from_numpy(distances).argsort(stable=True)[:COLUMNS]
    rows = [images[order], gallery[torch.from_numpy(places)[order]]]
    caption = (
        f"The {len(order)} of {len(images)} generated images that are nearest to a training image in pixels, above it. "
        "Equal pairs are copies; how many there are is counted among the figures."
    )
    return Picture("nearest", "Nearest training images", caption, plots.image_grid(rows, ["generated", "training"]))
