"""What is tried: single augmenters with their default parameters, at other strengths, and policies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from dlkit.augment import AugmenterCard, Policy, Step, step_at
from dlkit.augment.cards import augmenters
from dlkit.errors import UsageError
from dlkit.options.suggest import did_you_mean

NONE = ""
"""The policy that changes nothing."""
COMPARED = {"none": NONE, "usual": "flip crop", "trivial": "trivial"}
"""Name → policy: what is compared with the one that is found, in the search and after it."""
FOUND = "found"
"""The name of the policy that was found, where it is none of those that it is compared with."""
WORDS = {"none": "no augmentation", "usual": "the usual: flip crop", "trivial": "TrivialAugment", FOUND: "found"}
TOGETHER, AND = "together", " + "
"""The family of several augmenters, and what is between their names."""
STRENGTHS = (0.25, 0.5, 1.0)
HALF = 0.5
"""Of the images are changed, where an augmenter does not say otherwise, so that the others stay what is tested on."""


@dataclass(frozen=True)
class Arm:
    """A policy that is tried.

    Attributes:
        name: of the augmenter, and what of it: ``rotate``, ``flip:vertical``.
        family: the augmenter's.
        policy: as ``--augment`` takes it.
        strength: 0 to 1; None: the augmenter's default, or it has no strengths.
    """

    name: str
    family: str
    policy: str
    strength: float | None = None

    @property
    def compared(self) -> bool:
        """It is compared with what is found in the end too, so it is tried with all seeds, unless it hurts."""
        return self.policy in COMPARED.values()

    @property
    def published(self) -> bool:
        """A policy that somebody published is part of it; one is enough."""
        return any(step.card.policy for step in Policy.parse(self.policy).steps)

    @property
    def several(self) -> bool:
        """It is no single augmenter."""
        return self.family == TOGETHER or self.published


def single_arms(wanted: Sequence[str], *, grey: bool, mixes: bool) -> list[Arm]:
    """An arm for each augmenter that can be tried on images alone; one for each choice of those without strengths.

    Those that are compared in the end come first, then the first of each family, then the second ones: what a small
    budget is enough for is of every kind.

    Args:
        wanted: names of augmenters or families; empty: all.
        grey: images have one channel.
        mixes: the learner can learn from mixed labels.

    Raises:
        UsageError: a name that nothing has.
    """
    cards = augmenters()
    known = {*cards, *(card.family for card in cards.values())}
    for name in wanted:
        if name not in known:
            raise UsageError(f"--augmenters: there is no augmenter or family {name!r}.",
                             did_you_mean(name, known) or "`dlkit list augmenters` shows them.")  # fmt: skip
    able = [card for card in cards.values() if _able(card, grey=grey, mixes=mixes)]
    chosen = [card for card in able if not wanted or card.name in wanted or card.family in wanted]
    if not chosen:
        raise UsageError("--augmenters: none of these can be tried on these images.",
                         "Some need colours, masks or a folder.")  # fmt: skip
    usual = {step.name for step in Policy.parse(COMPARED["usual"]).steps}
    chosen.sort(key=lambda card: card.name not in usual)
    arms = _mixed(arm for card in chosen for arm in _arms(card))
    if usual <= {card.name for card in chosen}:
        arms.insert(0, Arm(f"flip:horizontal{AND}crop", TOGETHER, COMPARED["usual"]))
    return sorted(arms, key=lambda arm: not arm.compared)


def _mixed(arms: Iterable[Arm]) -> list[Arm]:
    """The first of each family, then the second ones."""
    families: dict[str, list[Arm]] = {}
    for arm in arms:
        families.setdefault(arm.family, []).append(arm)
    return [arm for turn in zip_longest(*families.values()) for arm in turn if arm is not None]


def _able(card: AugmenterCard, *, grey: bool, mixes: bool) -> bool:
    files = any(parameter.path for parameter in card.parameters)
    return not (card.needs_masks or files or (card.needs_colour and grey) or (card.pairs and not mixes))


def _arms(card: AugmenterCard) -> list[Arm]:
    chance = HALF if card.probability == 1 and not card.policy else None
    choices = next((p for p in card.parameters if p.choices), None) if not card.strengths else None
    if choices is None:
        return [Arm(card.name, card.family, str(Step(card.name, (), chance)))]
    return [
        Arm(f"{card.name}:{choice}", card.family, str(Step(card.name, ((choices.name, choice),), chance)))
        for choice in choices.choices
    ]


def at_strengths(arm: Arm) -> list[Arm]:
    """The same augmenter weaker and stronger; nothing where it has no strengths."""
    (step, *others) = Policy.parse(arm.policy).steps
    if others or not step.card.strengths:
        return []
    found = []
    for strength in STRENGTHS:
        other = _short(replace(step_at(step.card, strength), chance=step.chance))
        if any(step.value(name) != value for name, value in other.values):  # else it was tried already
            found.append(replace(arm, policy=str(Policy((other,))), strength=strength))
    return found


def _short(step: Step) -> Step:
    """With numbers of four digits, which people can read."""
    values = tuple((name, float(f"{value:.4g}") if isinstance(value, float) else value) for name, value in step.values)
    return replace(step, values=values)
