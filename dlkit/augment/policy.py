"""Policies: what is done to training images, as a value that is written as text or TOML and read back. Light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Self

from dlkit.augment.card import AugmenterCard, Value
from dlkit.options.literals import shortest


@dataclass(frozen=True)
class Step:
    """One augmenter with its parameters.

    Attributes:
        name: the augmenter's.
        values: parameter → value, of those that were said; the others have their defaults.
        chance: the probability of changing an image; None: the augmenter's own.
    """

    name: str
    values: tuple[tuple[str, Value], ...] = ()
    chance: float | None = None

    @property
    def card(self) -> AugmenterCard:
        """The augmenter's card.

        Raises:
            ValueError: no such augmenter is installed (any more).
        """
        from dlkit.augment.cards import augmenter

        return augmenter(self.name)

    @property
    def probability(self) -> float:
        """Of changing an image."""
        return self.card.probability if self.chance is None else self.chance

    def value(self, name: str) -> Value:
        """A parameter's value, said or by default."""
        said = dict(self.values)
        return said[name] if name in said else next(p.default for p in self.card.parameters if p.name == name)

    def portable(self, said: tuple[str, Value]) -> tuple[str, Value]:
        """A parameter and its value; of a path the last part."""
        name, value = said
        path = any(parameter.path for parameter in self.card.parameters if parameter.name == name)
        return name, PurePath(value).name if path and isinstance(value, str) else value

    def __str__(self) -> str:
        said, words = dict(self.values), []
        for parameter in self.card.parameters:
            value = said.pop(parameter.name, parameter.default)
            words.append(_word(value))
            if not said:
                break
        text = ":".join([self.name, *(words if self.values else [])])
        return text if self.chance is None else f"{text}@{shortest(self.chance)}"


@dataclass(frozen=True)
class Policy:
    """Augmenters that are applied one after the other; the value of ``--augment``."""

    steps: tuple[Step, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """A policy from its text, or from the TOML file that the text names.

        Raises:
            ValueError: what is wrong, with a caret under the word.
        """
        from dlkit.augment.grammar import read_steps

        return cls(read_steps(text))

    def __str__(self) -> str:
        return " ".join(map(str, self.steps))

    @property
    def mixes(self) -> bool:
        """Whether it mixes pairs of images and their labels."""
        return any(step.card.pairs for step in self.steps)

    def portable(self) -> Policy:
        """The same with paths cut to their last part: it tells nothing of this machine."""
        return Policy(tuple(replace(step, values=tuple(map(step.portable, step.values))) for step in self.steps))

    def to_toml(self) -> str:
        """The policy as a file, which :meth:`parse` reads back."""
        from dlkit.augment.grammar import write_toml

        return write_toml(self.steps)


def step_at(card: AugmenterCard, strength: float, values: Mapping[str, Value] | None = None) -> Step:
    """An augmenter at a strength between 0 (no change) and 1.

    Args:
        card: the augmenter.
        strength: of all parameters that have to do with it; where there is none, of the probability.
        values: of other parameters.
    """
    said = {parameter.name: parameter.at(strength) for parameter in card.strengths} | dict(values or {})
    chance = None if card.strengths else strength * card.probability
    return Step(card.name, tuple((p.name, said[p.name]) for p in card.parameters if p.name in said), chance)


def _word(value: Value) -> str:
    if isinstance(value, str):
        return f'"{value}"' if set(value) & set(" :@'\t\n") else value
    return str(value) if not isinstance(value, (int, float)) else shortest(value)
