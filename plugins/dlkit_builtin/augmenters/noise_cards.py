"""Cards of noise. Light."""

from __future__ import annotations

from dlkit.augment import AugmenterCard, Parameter

NOISE = (
    AugmenterCard(
        name="noise:gaussian",
        summary="Add independent normal noise to each pixel and channel.",
        family="noise",
        implementation="dlkit_builtin.augmenters.noise:gaussian",
        parameters=(
            Parameter(name="std", help="Standard deviation.", unit="of white", default=0.05, min=0, max=1, strong=0.3),
        ),
    ),
)
