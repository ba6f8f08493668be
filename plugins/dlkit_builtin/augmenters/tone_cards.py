"""Cards of tone curves and sharpness. Light."""

from __future__ import annotations

from dlkit.augment import AugmenterCard, Parameter

_HOME = "dlkit_builtin.augmenters.tone"

TONE = (
    AugmenterCard(
        name="sharpness",
        summary="Sharpen, or blur a little.",
        family="tone",
        implementation=f"{_HOME}:sharpness",
        parameters=(
            Parameter(name="change", help="Largest change of the sharpness, which is 1 + change; −1: smoothed.",
                      default=0.5, min=-1, max=10, strong=0.9, spread="around"),
        ),
    ),
    AugmenterCard(
        name="posterize",
        summary="Keep the highest bits of each pixel only.",
        family="tone",
        implementation=f"{_HOME}:posterize",
        parameters=(
            Parameter(name="bits", help="How many of 8 stay.", unit="bits", default=4, min=1, max=8, whole=True, weak=8,
                      strong=2),
        ),
    ),
    AugmenterCard(
        name="solarize",
        summary="Invert light pixels.",
        family="tone",
        implementation=f"{_HOME}:solarize",
        parameters=(
            Parameter(name="threshold", help="What is light.", unit="of white", default=0.5, min=0, max=1, weak=1,
                      strong=0),
        ),
    ),
    AugmenterCard(
        name="invert",
        summary="Make the negative.",
        family="tone",
        implementation=f"{_HOME}:invert",
        probability=0.5,
    ),
    AugmenterCard(
        name="auto-contrast",
        summary="Stretch each channel to the full range.",
        family="tone",
        implementation=f"{_HOME}:auto_contrast",
        probability=0.5,
    ),
    AugmenterCard(
        name="equalize",
        summary="Make all levels of each channel about as frequent.",
        family="tone",
        implementation=f"{_HOME}:equalize",
        probability=0.5,
    ),
    AugmenterCard(
        name="tone-clip",
        summary="Lose shadows and highlights, as a badly exposed photo does.",
        family="tone",
        implementation=f"{_HOME}:tone_clip",
        parameters=(
            Parameter(name="share", help="How much is lost at most at each end.", unit="of the range", default=0.15,
                      min=0, max=0.49, strong=0.4),
        ),
    ),
)  # fmt: skip
