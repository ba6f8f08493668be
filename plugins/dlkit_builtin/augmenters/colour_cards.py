"""Cards of what changes colours. Light."""

from __future__ import annotations

from dlkit.augment import AugmenterCard, Parameter

COLOUR = (
    AugmenterCard(
        name="brightness",
        summary="Multiply all pixels by one factor.",
        family="colour",
        implementation="dlkit_builtin.augmenters.colour:brightness",
        parameters=(
            Parameter(name="change", help="Largest change of the factor, which is 1 + change.", default=0.3, min=-1,
                      max=10, strong=0.9, spread="around"),
        ),
    ),
)  # fmt: skip
