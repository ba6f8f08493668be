"""Cards of light, weather and surroundings. Light."""

from __future__ import annotations

from dlkit.augment import AugmenterCard, Parameter

_HOME = "dlkit_builtin.augmenters.conditions"
_CORRUPTIONS = ("Hendrycks and Dietterich 2019, Benchmarking neural network robustness to common corruptions",)

CONDITIONS = (
    AugmenterCard(
        name="low-light",
        summary="Evening and night: little light, and the sensor's noise.",
        family="conditions",
        implementation=f"{_HOME}:low_light",
        parameters=(
            Parameter(name="stops", help="How often the light is halved at most.", unit="stops", default=2.0, min=0,
                      max=10, strong=5, spread="up-to"),
        ),
        sources=("Foi et al. 2008, Practical Poissonian-Gaussian noise modeling for single-image raw data",),
    ),
    AugmenterCard(
        name="fog",
        summary="Drifting fog.",
        family="conditions",
        implementation=f"{_HOME}:fog",
        parameters=(
            Parameter(name="density", help="Largest optical thickness; 1 leaves 37 % of the contrast.", default=0.7,
                      min=0, max=10, strong=2, spread="up-to"),
        ),
        sources=("Narasimhan and Nayar 2002, Vision and the atmosphere", *_CORRUPTIONS),
    ),
    AugmenterCard(
        name="rain",
        summary="Streaks of rain, and less contrast.",
        family="conditions",
        implementation=f"{_HOME}:rain",
        parameters=(
            Parameter(name="amount", help="Heaviest rain.", default=0.5, min=0, max=1, strong=1, spread="up-to"),
        ),
        sources=("Garg and Nayar 2007, Vision and rain",),
    ),
    AugmenterCard(
        name="snow",
        summary="Snowflakes, far and near.",
        family="conditions",
        implementation=f"{_HOME}:snow",
        parameters=(
            Parameter(name="amount", help="Heaviest snow.", default=0.5, min=0, max=1, strong=1, spread="up-to"),
        ),
        sources=_CORRUPTIONS,
    ),
    AugmenterCard(
        name="shadow",
        summary="The shadow of something with straight edges.",
        family="conditions",
        implementation=f"{_HOME}:shadow",
        parameters=(
            Parameter(name="depth", help="How much light it takes at most.", unit="of the light", default=0.5, min=0,
                      max=1, strong=0.8, spread="up-to"),
        ),
    ),
    AugmenterCard(
        name="background",
        summary="Put pictures from a folder behind what the masks cover.",
        family="conditions",
        implementation="dlkit_builtin.augmenters.background:background",
        needs_masks=True,
        parameters=(Parameter(name="folder", help="Where the pictures are.", default="", path=True),),
        sources=("Dwibedi, Misra and Hebert 2017, Cut, paste and learn: surprisingly easy synthesis",),
    ),
)  # fmt: skip
