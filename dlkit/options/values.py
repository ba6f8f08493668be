"""Option values with a syntax of their own; light, so that help and validation need no torch."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Self

from dlkit.options.literals import shortest
from dlkit.options.suggest import did_you_mean

MOST_SIDE = 16_384
"""Pixels on a side of an image, far above any real model's: a bound on what a file can make us allocate."""


@dataclass(frozen=True)
class Size:
    """Height and width in pixels: ``28`` or ``28x44`` (height × width)."""

    height: int
    width: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """``"28"`` → 28 × 28; ``"28x44"`` → 28 rows, 44 columns."""
        match = re.fullmatch(r"(\d+)(?:x(\d+))?", text.strip(), re.ASCII)
        if match is None or int(match[1]) < 1 or int(match[2] or 1) < 1:
            raise ValueError(f"expected a size like 64 or 48x64 (height x width), got {text!r}")
        height, width = int(match[1]), int(match[2] or match[1])
        if max(height, width) > MOST_SIDE:
            raise ValueError(f"expected at most {MOST_SIDE} pixels on a side, got {text!r}")
        return cls(height, width)

    def __str__(self) -> str:
        return str(self.height) if self.height == self.width else f"{self.height}x{self.width}"


@dataclass(frozen=True)
class Fold:
    """One of several equal parts of the images: ``2/5`` is the second of five."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """``"2/5"`` → the second of five."""
        match = re.fullmatch(r"(\d+)/(\d+)", text.strip(), re.ASCII)
        if match is None or not (1 <= int(match[1]) <= int(match[2]) and int(match[2]) >= 2):
            raise ValueError(f"expected a part like 2/5 (the second of five), got {text!r}")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


@dataclass(frozen=True)
class LabelBudget:
    """How many labels there are: ``100``, or ``0.1``, a share of those that the data has (``1``: all of them)."""

    count: int | None = None
    share: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """``"100"`` → a hundred; ``"0.1"`` → a tenth; ``"1"`` and ``"1.0"`` → all."""
        text = text.strip()
        if re.fullmatch(r"\d{1,18}", text, re.ASCII) and int(text) > 1:
            return cls(int(text))
        if re.fullmatch(r"\d*\.?\d+|\d+\.", text, re.ASCII) and 0 < float(text) <= 1:
            return cls(None, float(text))
        raise ValueError(f"expected a number of labels from 2 on, like 100, or a share like 0.1, got {text!r}")

    def __str__(self) -> str:
        return shortest(self.share) if self.count is None else str(self.count)


@dataclass(frozen=True)
class Duration:
    """A time span: ``90``, ``90s``, ``10m``, ``1.5h``."""

    seconds: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """A number with ``s`` (the default), ``m`` or ``h``."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*(s|m|h)?", text.strip(), re.ASCII)
        seconds = float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2] or "s"] if match else math.inf
        if not math.isfinite(seconds):
            raise ValueError(f"expected a time span like 90s, 10m or 1.5h, got {text!r}")
        return cls(seconds)

    def __str__(self) -> str:
        for unit, seconds in (("h", 3600), ("m", 60)):
            if self.seconds >= seconds and self.seconds % seconds == 0:
                return f"{int(self.seconds) // seconds}{unit}"
        return f"{shortest(self.seconds)}s"


SCHEDULES = ("constant", "step", "exponential", "sqrt", "inverse", "exp", "cosine", "one-cycle")


@dataclass(frozen=True)
class Schedule:
    """How the learning rate moves over a phase: a name and, for some, one number after a colon.

    With ``t`` the epochs done (a fraction within an epoch) and ``T`` the horizon in epochs, the factor on the
    learning rate is

    ==================  ==========================================================================
    ``constant``        1
    ``step:N``          0.1 to the power ⌊t / N⌋ (N = 30: He et al. 2016, section 3.4 in spirit)
    ``exponential:g``   g to the power ⌊t⌋ (g = 0.97)
    ``sqrt``            √(1 − t/T)
    ``inverse:k``       1 / (1 + k t) (k = 1)
    ``exp:k``           exp(−k t) (k = 1)
    ``cosine``          (1 + cos(π t/T)) / 2 (Loshchilov and Hutter 2017, equation 5 without restarts)
    ``one-cycle``       cosine up from 1/25 to 1 over 30 % of T, cosine down to 1/250,000 (Smith and
                        Topin 2018; the constants are those of ``torch.optim.lr_scheduler.OneCycleLR``)
    ==================  ==========================================================================
    """

    name: str
    value: float = 0.0
    """The number after the colon, positive; 0 where the schedule takes none (not NaN, which equals nothing)."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """``"cosine"``, ``"step:30"``, ``"exponential:0.97"``…"""
        name, colon, number = text.strip().partition(":")
        if name not in SCHEDULES:
            suggestion = did_you_mean(name, SCHEDULES)
            raise ValueError(f"expected one of {', '.join(SCHEDULES)}, got {name!r}. {suggestion}")
        default = {"step": 30.0, "exponential": 0.97, "inverse": 1.0, "exp": 1.0}.get(name)
        if not colon:
            return cls(name, default or 0.0)
        if default is None:
            raise ValueError(f"the schedule {name!r} takes no number, got {text!r}")
        try:
            value = float(number)
        except ValueError:
            raise ValueError(f"expected a number after {name!r}:, got {number!r}") from None
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"the number after {name!r} must be positive, got {number!r}")
        return cls(name, value)

    def __str__(self) -> str:
        return f"{self.name}:{shortest(self.value)}" if self.value else self.name

    @property
    def has_horizon(self) -> bool:
        """Whether the factor depends on T, the planned end."""
        return self.name in ("sqrt", "cosine", "one-cycle")
