"""Applying policies to scenes, with a record of what was done to each image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from dlkit.augment.card import AugmenterCard, Parameter, Range, Value
from dlkit.augment.cards import augmenter
from dlkit.augment.draws import Draws
from dlkit.augment.policy import Policy, Step
from dlkit.augment.scenes import Scenes
from dlkit.errors import UsageError


@dataclass
class History:
    """What was done to the images of a batch, for those who want to know.

    Attributes:
        images: for each image the operations in order: their names and parameters.
        rows: which image of the batch each of the scenes at hand is.
    """

    images: list[list[tuple[str, dict[str, float | str]]]]
    rows: Sequence[int] = field(default_factory=list)

    @classmethod
    def of(cls, count: int) -> History:
        """Nothing yet, of so many images."""
        return cls([[] for _ in range(count)], range(count))

    def at(self, rows: Tensor) -> History:
        """The same history, for some of the images."""
        return History(self.images, [self.rows[row] for row in rows.tolist()])

    def note(self, name: str, values: Mapping[str, Tensor | str]) -> None:
        """An operation was applied to all images at hand."""
        plain = {key: value if isinstance(value, str) else value.tolist() for key, value in values.items()}
        for place, row in enumerate(self.rows):
            said = {key: value if isinstance(value, str) else value[place] for key, value in plain.items()}
            self.images[row].append((name, said))


def apply(policy: Policy, scenes: Scenes, draws: Draws, history: History | None = None) -> Scenes:
    """Augment a batch.

    Args:
        policy: what is done.
        scenes: on the device where the work is to be done.
        draws: one key per image; the same keys give the same images, whatever the batch.
        history: filled where it is given.

    Returns:
        New scenes; images that no step hits are bit-identical.

    Raises:
        UsageError: an augmenter that needs what the scenes lack.
    """
    for number, step in enumerate(policy.steps):
        if step.card.needs_colour and scenes.images.shape[1] == 1:
            raise UsageError(f"The augmenter {step.name} needs colour, which grey images do not have.", "Leave it out.")
        scenes = _apply_step(step, scenes, draws.fork(number, step.name), history)
    return scenes


def _apply_step(step: Step, scenes: Scenes, draws: Draws, history: History | None) -> Scenes:
    card, probability = step.card, step.probability
    if probability >= 1:
        return operate(card, scenes, draws, values_of(step, draws), history)
    rows = draws.chosen("chance", probability)
    if len(rows) == 0:
        return scenes
    some = draws.at(rows)
    changed = operate(card, scenes.at(rows), some, values_of(step, some), history and history.at(rows))
    return scenes.put(rows, changed)


def operate(
    card: AugmenterCard | str,
    scenes: Scenes,
    draws: Draws,
    values: Mapping[str, Tensor | str] | None = None,
    history: History | None = None,
) -> Scenes:
    """One augmenter with given values: what policies such as TrivialAugment call.

    Args:
        card: the augmenter, or its name.
        scenes: the images; all of them are changed but those whose values are those of strength 0.
        draws: for what the augmenter draws besides its parameters.
        values: numbers as float32 ``(B,)`` on the CPU, words as text; defaults where they are left out.
        history: filled where it is given.
    """
    card = augmenter(card) if isinstance(card, str) else card
    if card.needs_colour and scenes.images.shape[1] == 1:
        return scenes
    if card.needs_masks and scenes.masks is None:
        raise UsageError(f"The augmenter {card.name} needs masks, which this data does not have.", "Leave it out.")
    given = dict(values or {})
    for parameter in card.parameters:
        if parameter.name not in given:
            default = parameter.default
            given[parameter.name] = default if isinstance(default, str) else torch.full((len(scenes),), float(default))
    rows = _touched(card, given, len(scenes))
    if len(rows) == 0:
        return scenes
    if len(rows) < len(scenes):
        some = {key: value if isinstance(value, str) else value[rows] for key, value in given.items()}
        changed = operate(card, scenes.at(rows), draws.at(rows), some, history and history.at(rows))
        return scenes.put(rows, changed)
    if history is not None and not card.policy:
        history.note(card.name, given)
    device = torch.device("cpu") if card.policy else scenes.images.device
    here: dict[str, Any] = {
        key: value if isinstance(value, str) else value.to(device, non_blocking=True) for key, value in given.items()
    }
    if card.policy:
        here["history"] = history
    changed = card.load()(scenes, draws, **here)
    assert isinstance(changed, Scenes)  # noqa: S101 - a stranger's function
    return changed


def _touched(card: AugmenterCard, values: Mapping[str, Tensor | str], count: int) -> Tensor:
    """The rows of the images that these values change: not those where every strength is 0."""
    if not card.strengths:
        return torch.arange(count)
    strengths = ((values[parameter.name], parameter.weak) for parameter in card.strengths)
    changes = [value != weak for value, weak in strengths if isinstance(value, Tensor)]
    return reduce(torch.logical_or, changes).nonzero()[:, 0]


def values_of(step: Step, draws: Draws) -> dict[str, Tensor | str]:
    """The parameters of a step, drawn for each image: float32 ``(B,)`` on the CPU, or words."""
    here = draws.on_cpu()
    return {parameter.name: _drawn(parameter, step.value(parameter.name), here) for parameter in step.card.parameters}


def _drawn(parameter: Parameter, value: Value, draws: Draws) -> Tensor | str:
    if isinstance(value, str):
        return value
    low, high = _bounds(parameter, value)
    if low == high:
        return torch.full((len(draws),), low)
    if parameter.whole:
        count = round(high) - round(low) + 1
        return (draws.integers(f"parameter {parameter.name}", count) + round(low)).float()
    return draws.uniform(f"parameter {parameter.name}", low=low, high=high)


def _bounds(parameter: Parameter, value: float | Range) -> tuple[float, float]:
    if isinstance(value, Range):
        return value.low, value.high
    if parameter.spread == "around":
        return max(parameter.min, -abs(value)), min(parameter.max, abs(value))
    if parameter.spread == "up-to":
        return min(parameter.weak, value), max(parameter.weak, value)
    return value, value
