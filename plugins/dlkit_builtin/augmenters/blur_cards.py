"""Cards of blur. Light."""

from __future__ import annotations

from dlkit.augment import AugmenterCard, Parameter

_HOME = "dlkit_builtin.augmenters.blur"
_UNIT = "of the shorter side (32 pixels if it is less)"

BLUR = (
    AugmenterCard(
        name="blur:gaussian",
        summary="Blur evenly.",
        family="blur",
        implementation=f"{_HOME}:gaussian",
        parameters=(
            Parameter(name="radius", help="Largest standard deviation.", unit=_UNIT, default=0.01, min=0, max=0.3,
                      strong=0.025, spread="up-to"),
        ),
    ),
    AugmenterCard(
        name="blur:motion",
        summary="Blur along a line, as a camera that moves.",
        family="blur",
        implementation=f"{_HOME}:motion",
        parameters=(
            Parameter(name="length", help="Longest line.", unit=_UNIT, default=0.05, min=0, max=0.5, strong=0.15,
                      spread="up-to"),
            Parameter(name="angle", help="Largest angle to level lines; 90: any direction.", unit="°", default=90,
                      min=0, max=90),
        ),
    ),
    AugmenterCard(
        name="blur:defocus",
        summary="Blur into discs, as a lens that is out of focus.",
        family="blur",
        implementation=f"{_HOME}:defocus",
        parameters=(
            Parameter(name="radius", help="Largest radius of a disc.", unit=_UNIT, default=0.015, min=0, max=0.3,
                      strong=0.04, spread="up-to"),
        ),
        sources=("Hendrycks and Dietterich 2019, Benchmarking neural network robustness to common corruptions",),
    ),
)  # fmt: skip
