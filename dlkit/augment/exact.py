"""An augmenter at exactly one strength, for every image: what is measured and shown, rather than drawn. Light."""

from __future__ import annotations

from dlkit.augment.card import AugmenterCard, Range, Value
from dlkit.augment.policy import Step

CORRUPTING = ("noise", "blur", "resolution", "conditions")
"""Families of what happens to images outside of a laboratory."""


def exactly(card: AugmenterCard, strength: float) -> Step:
    """A step that changes every image with the parameters of a strength, none of them drawn.

    Args:
        card: the augmenter.
        strength: between 0 (no change) and 1.
    """
    values: list[tuple[str, Value]] = []
    for parameter in card.strengths:
        value = parameter.at(strength)
        values.append((parameter.name, value if isinstance(value, str) else Range(value, value)))
    return Step(card.name, tuple(values), 1.0)


def corrupts(card: AugmenterCard) -> bool:
    """Whether robustness is measured with it: it has strengths, is of one of the families, and needs nothing else."""
    alone = not (card.moves or card.pairs or card.policy or card.needs_masks)
    return card.family in CORRUPTING and bool(card.strengths) and alone and not any(p.path for p in card.parameters)
