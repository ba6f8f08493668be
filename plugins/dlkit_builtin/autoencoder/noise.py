"""The names of corruptions (``gaussian:0.3``, ``mask:0.5+bars:2``); light, the drawing is in ``corruption``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from dlkit.options.literals import shortest
from dlkit.options.suggest import did_you_mean

AMOUNTS: dict[str, tuple[str, float, float]] = {
    "gaussian": ("the standard deviation σ of additive noise, not clipped", 0.0, 10.0),
    "speckle": ("the standard deviation σ of multiplicative noise, x(1 + σn)", 0.0, 10.0),
    "mask": ("the share of pixels set to 0 (Vincent et al. 2008)", 0.0, 1.0),
    "salt-pepper": ("the share of pixels set to 0 or 1, half each", 0.0, 1.0),
    "bars": ("the width of one bar across the image, row- or column-wise, in whole pixels", 1.0, 4096.0),
    "block": ("the side of one square set to 0, in whole pixels", 1.0, 4096.0),
}
"""Kind → (what the amount means, smallest, largest amount)."""


@dataclass(frozen=True)
class Corruption:
    """One kind of corruption and its amount."""

    kind: str
    amount: float

    def __str__(self) -> str:
        return f"{self.kind}:{shortest(self.amount)}"


@dataclass(frozen=True)
class Noise:
    """Corruptions applied one after another, written ``kind:amount`` and joined by ``+``."""

    parts: tuple[Corruption, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """``"gaussian:0.3"``, ``"mask:0.5+bars:2"``.

        Raises:
            ValueError: an unknown kind, a missing amount, or one out of its range.
        """
        return cls(tuple(_corruption(part.strip()) for part in text.split("+")))

    def __str__(self) -> str:
        return "+".join(map(str, self.parts))


def _corruption(text: str) -> Corruption:
    kind, colon, number = text.partition(":")
    if kind not in AMOUNTS:
        suggestion = did_you_mean(kind, AMOUNTS)
        raise ValueError(
            f"expected one of {', '.join(AMOUNTS)} with an amount (gaussian:0.3), got {text!r}. {suggestion}"
        )
    meaning, smallest, largest = AMOUNTS[kind]
    try:
        amount = float(number) if colon else math.nan
    except ValueError:
        amount = math.nan
    whole = kind not in ("bars", "block") or amount == int(amount if math.isfinite(amount) else 0)
    if not (smallest <= amount <= largest and whole):
        raise ValueError(f"{kind} takes {meaning}, from {smallest:g} to {largest:g} ({kind}:X), got {text!r}")
    return Corruption(kind, amount)
