"""Registers flicker bands. Every `dlkit` command imports this module, so nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Iterable

from dlkit.augment import AugmenterCard, Parameter
from dlkit.hookspecs import hookimpl

DLKIT_API = 1

BANDING = AugmenterCard(
    name="banding",
    summary="Draw bright and dark bands, as under lamps on alternating current.",
    family="conditions",
    implementation="dlkit_banding.augmenter:banding",
    parameters=(
        Parameter(
            name="amount",
            help="How much light the dark bands lose.",
            unit="of the light",
            default=0.3,
            min=0,
            max=1,
            weak=0.0,
            strong=0.6,
            spread="up-to",
        ),
        Parameter(name="bands", help="How many bands there are across the image.", default=5, min=0.5, max=100),
    ),
)


@hookimpl
def dlkit_augmenters() -> Iterable[AugmenterCard]:
    """One augmenter."""
    return [BANDING]
