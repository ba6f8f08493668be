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
)
