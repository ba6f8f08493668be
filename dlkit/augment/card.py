"""An augmenter's light declaration: what grammar, lists, help and records need, without torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from dlkit.errors import PluginError, UsageError
from dlkit.files import user_path
from dlkit.options.literals import shortest
from dlkit.options.suggest import did_you_mean

Spread = Literal["around", "up-to", "exact"]
"""What an image's own value is, where a policy says v: drawn from [−v, v], within the parameter's bounds; between the
value at strength 0 and v; v."""

FILLS = ("black", "edge", "mirror")
"""What may be where an image was not, after its pixels have moved: black, the pixels of its edge, its mirror image."""


@dataclass(frozen=True)
class Range:
    """Values to draw from, evenly: ``10..20``; ``15..15`` is 15 for every image."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{shortest(self.low)}..{shortest(self.high)}"


Value = float | str | Range
"""What a policy says about a parameter: a number, a range of numbers, or a word (a choice, a path)."""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter of an augmenter. Numbers have ``strong``; words have ``choices`` or are paths.

    Attributes:
        name: as the implementation's keyword.
        help: one sentence, with the unit.
        default: what it is where a policy says nothing.
        min, max: bounds of a number, allowed themselves.
        whole: only whole numbers.
        weak, strong: its values at strength 0 (the image stays as it is) and 1. Without ``strong`` it has nothing to
            do with strength.
        spread: how an image's own value is drawn.
        unit: what a number counts: ``°``, ``of the width``…
        choices: the words that it may be.
        path: it names a file or a folder.
    """

    name: str
    help: str
    default: float | str
    min: float = -math.inf
    max: float = math.inf
    whole: bool = False
    weak: float = 0.0
    strong: float | None = None
    spread: Spread = "exact"
    unit: str = ""
    choices: tuple[str, ...] = ()
    path: bool = False

    @property
    def is_word(self) -> bool:
        """Whether its values are words."""
        return bool(self.choices) or self.path

    def at(self, strength: float) -> float | str:
        """Its value at a strength between 0 and 1; the default where it has nothing to do with strength."""
        if self.strong is None:
            return self.default
        value = self.weak + strength * (self.strong - self.weak)
        return round(value) if self.whole else value

    def parse(self, text: str) -> Value:
        """The value that a text names.

        Raises:
            ValueError: it is none, or beyond the bounds.
        """
        if self.path:
            if not text:
                raise ValueError(f"{self.name}: expected a path")
            return str(as_path(text).absolute())
        if self.choices:
            if text in self.choices:
                return text
            raise ValueError(f"{self.name}: expected one of {', '.join(self.choices)}, got {text!r}. "
                             f"{did_you_mean(text, self.choices)}".rstrip())  # fmt: skip
        low, dots, high = text.partition("..")
        if not dots:
            return self._number(text)
        found = Range(self._number(low), self._number(high))
        if found.low > found.high:
            raise ValueError(f"{self.name}: expected the lower number first, got {text!r}")
        return found

    def _number(self, text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not (math.isfinite(number) and self.min <= number <= self.max and (number.is_integer() or not self.whole)):
            raise ValueError(f"{self.name}: expected {self.expectation}, got {text!r}")
        return number

    @property
    def expectation(self) -> str:
        """What it takes, in words: ``a number between 0 and 180``."""
        if self.path:
            return "a path"
        if self.choices:
            return "one of " + ", ".join(self.choices)
        what = "a whole number" if self.whole else "a number"
        low, high = math.isfinite(self.min), math.isfinite(self.max)
        if low and high:
            return f"{what} between {shortest(self.min)} and {shortest(self.max)}"
        if low or high:
            return what + (f" of at least {shortest(self.min)}" if low else f" of at most {shortest(self.max)}")
        return what


@dataclass(frozen=True, kw_only=True)
class AugmenterCard:
    """What an augmenter is, before anything heavy is imported.

    Attributes:
        name: as a policy names it: kebab-case words, with colons between family and kind (``noise:gaussian``).
        summary: one line, starting with a capital, ending with a full stop.
        family: the heading under which it is listed: ``geometric``, ``noise``, ``blur``, ``colour``…
        implementation: ``"package.module:function"``: an :class:`dlkit.augment.scenes.Augmenter`.
        parameters: in the order in which a policy gives them.
        probability: of changing an image, where a policy says nothing.
        moves: it moves pixels, so masks, boxes and keypoints move along.
        pairs: it mixes pairs of images, and their labels.
        policy: it chooses among other augmenters.
        needs_masks: it only works where there are masks.
        needs_colour: it does nothing to images of one channel: in a policy an error, no change where other policies
            choose it.
        sources: papers, "Author et al. year, title".
    """

    name: str
    summary: str
    family: str
    implementation: str
    parameters: tuple[Parameter, ...] = ()
    probability: float = 1.0
    moves: bool = False
    pairs: bool = False
    policy: bool = False
    needs_masks: bool = False
    needs_colour: bool = False
    sources: tuple[str, ...] = ()

    @property
    def strengths(self) -> tuple[Parameter, ...]:
        """The parameters that say how strong it is; none where an image is changed or not (a flip)."""
        return tuple(parameter for parameter in self.parameters if parameter.strong is not None)

    @property
    def usage(self) -> str:
        """How a policy names it with all its parameters: ``rotate[:ANGLE[:FILL]]``."""
        words = "".join(f"[:{parameter.name.upper()}" for parameter in self.parameters)
        return f"{self.name}{words}{']' * len(self.parameters)}"

    def load(self) -> Callable[..., Any]:
        """Import the implementation (heavy).

        Raises:
            PluginError: the module or the function cannot be imported.
        """
        try:
            return _imported(self.implementation)
        except Exception as error:
            raise PluginError(
                f"Augmenter {self.name!r}: {self.implementation!r} cannot be imported: {type(error).__name__}: {error}",
                "Reinstall or update the package that ships it, or report this to its authors.",
            ) from error


@cache
def _imported(implementation: str) -> Callable[..., Any]:
    module, _, attribute = implementation.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), attribute)
    return function


def as_path(text: str) -> Path:
    """A path in a policy, with ``~``.

    Raises:
        ValueError: ``~name`` of nobody.
    """
    try:
        return user_path(text)
    except UsageError as error:
        raise ValueError(str(error)) from None
