"""Cards of noise. Light."""

from __future__ import annotations

from dlkit.augment import AugmenterCard, Parameter

_HOME = "dlkit_builtin.augmenters.noise"


def _share(of: str, default: float, strong: float) -> tuple[Parameter, ...]:
    return (Parameter(name="share", help=f"How many of {of}.", unit=f"of {of}", default=default, min=0, max=1,
                      strong=strong),)  # fmt: skip


NOISE = (
    AugmenterCard(
        name="noise:gaussian",
        summary="Add independent normal noise to each pixel and channel.",
        family="noise",
        implementation=f"{_HOME}:gaussian",
        parameters=(
            Parameter(name="std", help="Standard deviation.", unit="of white", default=0.05, min=0, max=1, strong=0.3),
        ),
    ),
    AugmenterCard(
        name="noise:speckle",
        summary="Multiply each pixel and channel by independent normal noise around 1.",
        family="noise",
        implementation=f"{_HOME}:speckle",
        parameters=(
            Parameter(name="std", help="Standard deviation.", unit="of the pixel", default=0.15, min=0, max=2,
                      strong=0.6),
        ),
    ),
    AugmenterCard(
        name="noise:poisson",
        summary="Count few photons (shot noise): light pixels are noisier.",
        family="noise",
        implementation=f"{_HOME}:poisson",
        parameters=(
            Parameter(name="noise", help="Standard deviation of white; 0.1 is that of 100 photons.", unit="of white",
                      default=0.1, min=0, max=1, strong=0.4),
        ),
    ),
    AugmenterCard(
        name="noise:salt-and-pepper",
        summary="Make some pixels white and some black.",
        family="noise",
        implementation=f"{_HOME}:salt_and_pepper",
        parameters=_share("the pixels", 0.02, 0.2),
    ),
    AugmenterCard(
        name="noise:sensor",
        summary="Some pixels of a channel are stuck at a level: dead and hot ones.",
        family="noise",
        implementation=f"{_HOME}:sensor",
        parameters=_share("the channels' pixels", 0.01, 0.1),
    ),
)  # fmt: skip
