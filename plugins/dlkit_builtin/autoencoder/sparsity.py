"""The names of sparsity penalties (``kl:0.05``, ``l1:1e-4``); light, the arithmetic is in ``constraints``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from dlkit.options.suggest import did_you_mean

KL_WEIGHT = 0.1
"""Ng 2011 takes 3 beside half the squared error, summed over 8 × 8 pixels: 2 · 3 / 64 beside its mean over pixels."""

_KINDS = ("kl", "l1")


@dataclass(frozen=True)
class Sparsity:
    """What keeps code units quiet.

    Attributes:
        kind: ``kl``: a unit's mean activation over the images shall be ``target`` (Ng 2011, section 3);
            ``l1``: the sum of absolute activations is penalised.
        weight: of the penalty in the loss, per code unit.
        target: of ``kl``, in (0, 1).
    """

    kind: str
    weight: float
    target: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """``"kl:0.05"``, ``"kl:0.05:0.1"`` (target, weight), ``"l1:1e-4"`` (weight).

        Raises:
            ValueError: an unknown kind, a missing number, or one out of its range.
        """
        kind, *numbers = (part.strip() for part in text.split(":"))
        if kind not in _KINDS:
            raise ValueError(
                f"expected kl:TARGET, kl:TARGET:WEIGHT or l1:WEIGHT, got {text!r}. {did_you_mean(kind, _KINDS)}"
            )
        values = [_number(number) for number in numbers]
        if kind == "l1":
            if len(values) != 1 or not 0 < values[0] < math.inf:
                raise ValueError(f"l1 takes a positive weight (l1:1e-4), got {text!r}")
            return cls(kind, values[0])
        if len(values) not in (1, 2) or not 0 < values[0] < 1:
            raise ValueError(f"kl takes the mean activation to aim at, between 0 and 1 (kl:0.05), got {text!r}")
        weight = values[1] if len(values) == 2 else KL_WEIGHT
        if not 0 < weight < math.inf:
            raise ValueError(f"the second number of kl is a positive weight (kl:0.05:{KL_WEIGHT}), got {text!r}")
        return cls(kind, weight, values[0])

    def __str__(self) -> str:
        if self.kind == "l1":
            return f"l1:{self.weight!r}"
        return f"kl:{self.target!r}" + ("" if self.weight == KL_WEIGHT else f":{self.weight!r}")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
