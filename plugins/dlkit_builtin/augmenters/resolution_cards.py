"""Cards of lost resolution. Light."""

from __future__ import annotations

from dlkit.augment import AugmenterCard, Parameter

_HOME = "dlkit_builtin.augmenters.resolution"

RESOLUTION = (
    AugmenterCard(
        name="down-up",
        summary="Shrink, then enlarge again: details are lost.",
        family="resolution",
        implementation=f"{_HOME}:down_up",
        parameters=(
            Parameter(name="factor", help="How many times smaller at most.", default=2.0, min=1, max=64, weak=1,
                      strong=4, spread="up-to"),
        ),
    ),
    AugmenterCard(
        name="pixelate",
        summary="Show in large pixels.",
        family="resolution",
        implementation=f"{_HOME}:pixelate",
        parameters=(
            Parameter(name="factor", help="How many pixels a cell is wide and high at most.", unit="pixels",
                      default=2.0, min=1, max=64, weak=1, strong=4, spread="up-to"),
        ),
        sources=("Hendrycks and Dietterich 2019, Benchmarking neural network robustness to common corruptions",),
    ),
    AugmenterCard(
        name="jpeg",
        summary="Compress as JPEG, with its blocks and smeared colours.",
        family="resolution",
        implementation=f"{_HOME}:jpeg",
        parameters=(
            Parameter(name="quality", help="Lowest quality.", default=40, min=1, max=100, whole=True, weak=100,
                      strong=8, spread="up-to"),
        ),
        sources=("Hendrycks and Dietterich 2019, Benchmarking neural network robustness to common corruptions",),
    ),
)  # fmt: skip
