"""Registers rotation prediction. Every `dlkit` command imports this module, so nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from dlkit.card import Card, Trial
from dlkit.hookspecs import hookimpl
from dlkit.options import TrainOptions, option

DLKIT_API = 1


@dataclass(frozen=True, kw_only=True)
class RotationOptions(TrainOptions):
    """Rotation prediction"""

    width: int = option(32, "Channels of the first stage; each further stage doubles them.", min=1)
    stages: int = option(3, "Stages of two convolutions; each halves the image.", min=1, max=6)
    code_stage: int = option(2, "Stage whose output, averaged over at most 4 x 4 cells, is the code.", min=1)
    turns: Literal["all", "one"] = option(
        "all", "Learn from each image in all four orientations, or in one drawn at random (four times faster)."
    )

    def __post_init__(self) -> None:
        if self.code_stage > self.stages:
            raise ValueError(f"--code-stage {self.code_stage}: there are only {self.stages} stages")


ROTATION = Card(
    name="rotation",
    summary="Learn features without labels, by telling which way up an image is.",
    description="""\
Each image is turned by 0, 90, 180 or 270°, and a convolutional network learns to say by how much. Nobody has to
label anything, yet to see which way is up the network must notice what is in the picture, and what it notices is
of use for other things: the code, taken from an inner stage, is evaluated beside raw pixels. Images must be square.""",
    sources=("Gidaris, Singh and Komodakis 2018, Unsupervised representation learning by predicting image rotations",),
    task="representation",
    options=RotationOptions,
    implementation="dlkit_rotation.technique:Rotation",
    capabilities=lambda _options: frozenset({"encode"}),
    examples=("dlkit train rotation", "dlkit train rotation --data cifar10 --width 64 --turns one"),
    trial=Trial(
        small={"width": 4},
        exceptions={"two_processes:equal": "batch normalisation sees the images of one process"},
    ),
)


@hookimpl
def dlkit_techniques() -> Iterable[Card]:
    """One technique."""
    return [ROTATION]
