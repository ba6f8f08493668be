"""Cards of what changes colours. Light."""

from __future__ import annotations

from dlkit.augment import AugmenterCard, Parameter

_HOME = "dlkit_builtin.augmenters.colour"


def _change(what: str, default: float = 0.3) -> tuple[Parameter, ...]:
    text = f"Largest change of {what}, which is 1 + change."
    return (Parameter(name="change", help=text, default=default, min=-1, max=10, strong=0.9, spread="around"),)


COLOUR = (
    AugmenterCard(
        name="brightness",
        summary="Multiply all pixels by one factor.",
        family="colour",
        implementation=f"{_HOME}:brightness",
        parameters=_change("the factor"),
    ),
    AugmenterCard(
        name="contrast",
        summary="Stretch or squeeze tones around the image's mean brightness.",
        family="colour",
        implementation=f"{_HOME}:contrast",
        parameters=_change("the stretch"),
    ),
    AugmenterCard(
        name="saturation",
        summary="Stretch or squeeze colours around grey.",
        family="colour",
        implementation=f"{_HOME}:saturation",
        needs_colour=True,
        parameters=_change("the stretch", 0.5),
    ),
    AugmenterCard(
        name="hue",
        summary="Turn colours around the colour circle.",
        family="colour",
        implementation=f"{_HOME}:hue",
        needs_colour=True,
        parameters=(
            Parameter(name="turn", help="Largest turn either way.", unit="°", default=20, min=-180, max=180, strong=90,
                      spread="around"),
        ),
    ),
    AugmenterCard(
        name="gamma",
        summary="Lighten or darken middle tones; black and white stay.",
        family="colour",
        implementation=f"{_HOME}:gamma",
        parameters=(
            Parameter(name="change", help="Largest change of the exponent: so much more, or less by the same ratio.",
                      default=0.5, min=-9, max=9, strong=1.5, spread="around"),
        ),
    ),
    AugmenterCard(
        name="temperature",
        summary="Warmer or colder light.",
        family="colour",
        implementation=f"{_HOME}:temperature",
        needs_colour=True,
        parameters=(
            Parameter(name="mired", help="Largest shift of 10⁶ / colour temperature either way; positive is warmer.",
                      unit="mired", default=40, min=-300, max=300, strong=130, spread="around"),
        ),
    ),
    AugmenterCard(
        name="cast",
        summary="Tint: each channel gets a factor of its own.",
        family="colour",
        implementation=f"{_HOME}:cast",
        needs_colour=True,
        parameters=(
            Parameter(name="amount", help="Largest change of a factor, which is 1 ± amount.", default=0.15, min=0,
                      max=1, strong=0.5),
        ),
    ),
    AugmenterCard(
        name="grey",
        summary="Take the colour away.",
        family="colour",
        implementation=f"{_HOME}:grey",
        probability=0.2,
        needs_colour=True,
    ),
)  # fmt: skip
