"""What rotation prediction has learned: figures beside their baselines, and a picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from dlkit.baselines import affordable, code_metrics, linear_probe_accuracy, wilson_interval
from dlkit.metrics import Metric, Metrics
from dlkit.report import Picture, plots
from dlkit_rotation.technique import accuracy, all_turns

if TYPE_CHECKING:
    from dlkit.data import ImageData, Split
    from dlkit.runtime import Runtime
    from dlkit_rotation.technique import Rotation

IMAGES = 2_000  # of a split, at most
SHOWN = 12
TURNS = ("0°", "90°", "180°", "270°")


def evaluate(technique: Rotation, data: ImageData, runtime: Runtime) -> Metrics:
    """How often it is right, beside chance and a linear classifier on pixels; then the worth of its features."""
    most = affordable(IMAGES, (4, *data.spec.shape))
    held_out = some(data.held_out, most)
    right = float(accuracy(*technique.answers(held_out, runtime)))
    baselines = {"chance": 0.25}
    if len(data.train):
        (images, turns), (others, other_turns) = (all_turns(s.pixels()) for s in (some(data.train, most), held_out))
        flat = images.flatten(1).numpy(), turns.numpy(), others.flatten(1).numpy(), other_turns.numpy()
        baselines["linear classifier on pixels"] = linear_probe_accuracy(*flat)
    row = Metric(
        name="rotation_accuracy",
        label="rotation accuracy",
        value=right,
        split=held_out.name,
        better="higher",
        interval=wilson_interval(right, len(held_out)),  # the four orientations of an image are not independent
        baselines=baselines,
        note=f"{len(held_out):,} images in four orientations",
    )
    return Metrics((row, *code_metrics(technique.encode, data, runtime)))


def pictures(technique: Rotation, data: ImageData, runtime: Runtime) -> Iterator[Picture]:
    """Images turned, and turned back by what the network says."""
    shown = some(data.held_out, SHOWN)
    logits, _ = technique.answers(shown, runtime)
    turned, _ = all_turns(shown.pixels())
    back = [image.rot90(-answer, (1, 2)) for image, answer in zip(turned, logits.argmax(1).tolist(), strict=True)]
    caption = "Held-out images, turned and turned back by the network's answer: upright where it is right."
    rows = torch.stack(back).chunk(4)
    yield Picture(
        "upright", "Which way is up", caption, plots.image_grid(rows, [f"turned by {turn}" for turn in TURNS])
    )


def some(split: Split, most: int) -> Split:
    """At most so many images of a split, evenly spread over it."""
    return split if len(split) <= most else split.subset(torch.linspace(0, len(split) - 1, most).long())
