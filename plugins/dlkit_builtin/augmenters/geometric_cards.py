"""Cards of what moves pixels. Light."""

from __future__ import annotations

from dlkit.augment import AugmenterCard, Parameter
from dlkit.augment.card import FILLS

_HOME = "dlkit_builtin.augmenters.geometric"
_FILL = Parameter(
    name="fill", help="What is where the image was not: black, its edge's pixels, its mirror image.", default="black",
    choices=FILLS,
)  # fmt: skip
_AXES = ("both", "horizontal", "vertical")

GEOMETRIC = (
    AugmenterCard(
        name="rotate",
        summary="Turn around the middle.",
        family="geometric",
        implementation=f"{_HOME}:rotate",
        moves=True,
        parameters=(
            Parameter(name="angle", help="Largest angle either way.", unit="°", default=15.0, min=-180, max=180,
                      strong=30.0, spread="around"),
            _FILL,
        ),
    ),
    AugmenterCard(
        name="translate",
        summary="Shift by a share of width and height.",
        family="geometric",
        implementation=f"{_HOME}:translate",
        moves=True,
        parameters=(
            Parameter(name="share", help="Largest shift either way.", unit="of the width and height", default=0.1,
                      min=-1, max=1, strong=0.3, spread="around"),
            Parameter(name="axis", help="Where to; both: the direction is drawn.", default="both", choices=_AXES),
            _FILL,
        ),
    ),
    AugmenterCard(
        name="shear",
        summary="Slant around the middle, as italics do.",
        family="geometric",
        implementation=f"{_HOME}:shear",
        moves=True,
        parameters=(
            Parameter(name="angle", help="Largest angle either way.", unit="°", default=10.0, min=-80, max=80,
                      strong=30.0, spread="around"),
            Parameter(name="axis", help="horizontal: upright lines lean; vertical: level lines slope; both: one of "
                      "them, drawn.", default="both", choices=_AXES),
            _FILL,
        ),
    ),
    AugmenterCard(
        name="flip",
        summary="Mirror left to right, or upside down.",
        family="geometric",
        implementation=f"{_HOME}:flip",
        probability=0.5,
        moves=True,
        parameters=(
            Parameter(name="axis", help="horizontal: left becomes right; vertical: top becomes bottom.",
                      default="horizontal", choices=("horizontal", "vertical")),
        ),
    ),
)  # fmt: skip
