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

_ANGLE = Parameter(
    name="angle", help="Largest angle either way.", unit="°", default=15.0, min=-180, max=180, strong=30.0,
    spread="around",
)  # fmt: skip
_SHARE = Parameter(
    name="share", help="Largest shift either way.", unit="of the width and height", default=0.1, min=-1, max=1,
    strong=0.3, spread="around",
)  # fmt: skip
_CHANGE = Parameter(
    name="change", help="Largest change: so much larger, or smaller by the same ratio.", default=0.2, min=-9, max=9,
    strong=0.5, spread="around",
)  # fmt: skip

GEOMETRIC = (
    AugmenterCard(
        name="rotate",
        summary="Turn around the middle.",
        family="geometric",
        implementation=f"{_HOME}:rotate",
        moves=True,
        parameters=(_ANGLE, _FILL),
    ),
    AugmenterCard(
        name="translate",
        summary="Shift by a share of width and height.",
        family="geometric",
        implementation=f"{_HOME}:translate",
        moves=True,
        parameters=(
            _SHARE,
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
        name="scale",
        summary="Enlarge or shrink around the middle.",
        family="geometric",
        implementation=f"{_HOME}:scale",
        moves=True,
        parameters=(_CHANGE, _FILL),
    ),
    AugmenterCard(
        name="affine",
        summary="Turn, shift, scale and slant, interpolated once.",
        family="geometric",
        implementation=f"{_HOME}:affine",
        moves=True,
        parameters=(
            _ANGLE,
            _SHARE,
            _CHANGE,
            Parameter(name="slant", help="Largest angle of shear either way, upright or level lines.", unit="°",
                      default=10.0, min=-80, max=80, strong=30.0, spread="around"),
            _FILL,
        ),
    ),
    AugmenterCard(
        name="perspective",
        summary="Look from aside: move the corners inwards, each by its own.",
        family="geometric",
        implementation=f"{_HOME}:perspective",
        moves=True,
        parameters=(
            Parameter(name="distortion", help="How far corners move at most.", unit="of half the side", default=0.3,
                      min=0, max=0.9, strong=0.6),
            _FILL,
        ),
    ),
    AugmenterCard(
        name="crop",
        summary="Cut out a part at a place of its own, and enlarge it.",
        family="geometric",
        implementation=f"{_HOME}:crop",
        moves=True,
        parameters=(
            Parameter(name="cut", help="How much is cut away at most.", unit="of each side", default=0.2, min=0,
                      max=0.95, strong=0.5, spread="up-to"),
            Parameter(name="jitter", help="How far the part may lie from the middle; 1: anywhere, 0: in the middle.",
                      default=1.0, min=0, max=1),
        ),
        sources=("Krizhevsky, Sutskever and Hinton 2012, ImageNet classification with deep convolutional networks",),
    ),
    AugmenterCard(
        name="elastic",
        summary="Pull and push like rubber.",
        family="geometric",
        implementation=f"{_HOME}:elastic",
        moves=True,
        parameters=(
            Parameter(name="shift", help="Standard deviation of the shifts.", unit="of the shorter side", default=0.02,
                      min=0, max=0.5, strong=0.04),
            Parameter(name="smoothness", help="How far shifts are alike.", unit="of the shorter side", default=0.1,
                      min=0.03, max=1),
            _FILL,
        ),
        sources=("Simard, Steinkraus and Platt 2003, Best practices for convolutional neural networks",),
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
