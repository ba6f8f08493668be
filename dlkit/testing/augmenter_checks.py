"""Checks of augmenters: their card, what they do to scenes, and that it belongs to the sample alone."""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from dlkit.augment import AugmenterCard, Draws, Policy, Scenes, apply, sample_keys, step_at
from dlkit.testing.images import CLASSES, Colours, shapes
from dlkit.testing.items import NotApplicable
from dlkit.testing.subjects import Subject

_COUNT = 6
_STRENGTHS = (0.3, 1.0)


def parameters_are_sound(subject: Subject) -> None:
    """Defaults, and the values at strength 0 and 1, are within their bounds; each parameter says what it is."""
    card: AugmenterCard = subject.card
    for each in card.parameters:
        assert each.help.strip().endswith("."), f"{each.name}: its help should be a sentence: {each.help!r}"
        if each.choices:
            assert each.default in each.choices, f"{each.name}: {each.default!r} is none of {', '.join(each.choices)}"
        if each.is_word:
            continue
        numbers = {"default": each.default, "weak": each.weak, "strong": each.strong}
        for name, number in numbers.items():
            sound = number is None or (isinstance(number, int | float) and each.min <= number <= each.max)
            assert sound or name == "weak", f"{each.name}: {name}={number} is not between {each.min} and {each.max}"
    assert 0 < card.probability <= 1, f"its probability is {card.probability}"
    text = str(Policy.parse(card.name))
    assert str(Policy.parse(text)) == text, f"the policy {card.name!r} becomes {text!r}, and that something else"


def keeps_the_form(subject: Subject) -> None:
    """As many images of the same size and type, pixels in [0, 1], inputs untouched; masks and boxes keep their form."""
    for channels in _channels(subject.card):
        for strength in _STRENGTHS:
            scenes = _scenes(channels, subject.card)
            before = {name: tensor.clone() for name, tensor in _parts(scenes).items()}
            changed = _applied(subject.card, strength, scenes)
            for name, tensor in _parts(scenes).items():
                same = torch.equal(tensor.nan_to_num(-1), before[name].nan_to_num(-1))
                assert same, f"{channels} channels: it writes into the {name} that it is given"
            for name, tensor in _parts(changed).items():
                assert tensor.shape == before[name].shape, f"{name} become {tuple(tensor.shape)}"
                assert tensor.dtype == before[name].dtype, f"{name} become {tensor.dtype}"
            images = changed.images
            assert images.isfinite().all(), f"{channels} channels, strength {strength}: pixels are not finite"
            low, high = float(images.min()), float(images.max())
            assert low >= -1e-6 and high <= 1 + 1e-6, f"pixels reach from {low:.3g} to {high:.3g}"  # noqa: PT018
            if changed.labels is not None:
                sums = changed.labels.sum(1)
                assert torch.allclose(sums, torch.ones_like(sums), atol=1e-5), "labels do not sum to one"


def does_something(subject: Subject) -> None:
    """At full strength, wherever it is applied, some image is other than it was."""
    scenes = _scenes(_channels(subject.card)[-1], subject.card)
    changed = _applied(subject.card, 1.0, scenes)
    assert not torch.equal(changed.images, scenes.images), "at strength 1 it changes no image"


def draws_belong_to_samples(subject: Subject) -> None:
    """The same sample gives the same image, again and in any batch."""
    card: AugmenterCard = subject.card
    scenes = _scenes(_channels(card)[-1], card)
    whole = _applied(card, 1.0, scenes)
    again = _applied(card, 1.0, scenes)
    assert torch.equal(whole.images, again.images), "applied again it gives other images: draw from `draws` only"
    if card.pairs:
        raise NotApplicable("it mixes images of a batch, so the batch matters")
    rows = torch.tensor([4, 1])
    part = _applied(card, 1.0, scenes.at(rows), rows)
    assert torch.allclose(part.images, whole.images[rows], atol=1e-6), (
        "in another batch a sample becomes another image: take what is random from `draws`, one row for each image"
    )


def _applied(card: AugmenterCard, strength: float, scenes: Scenes, ids: Tensor | None = None) -> Scenes:
    ids = torch.arange(len(scenes)) if ids is None else ids
    words = {each.name: each.default for each in card.parameters if each.path and not each.default}
    if words:
        raise NotApplicable(f"it needs files: {', '.join(words)}")
    policy = Policy((dataclasses.replace(step_at(card, strength), chance=1.0),))
    return apply(policy, scenes, Draws(sample_keys(7, ids)))


def _channels(card: AugmenterCard) -> tuple[Colours, ...]:
    return ("3",) if card.needs_colour else ("1", "3")


def _scenes(channels: Colours, card: AugmenterCard) -> Scenes:
    raw, labels = shapes(channels, side=16)
    images = torch.from_numpy(raw[:_COUNT]).float().div(255) * 0.6 + 0.1  # so that contrast can be stretched
    images = images[:, None] if channels == "1" else images.permute(0, 3, 1, 2)
    classes = torch.nn.functional.one_hot(torch.from_numpy(labels[:_COUNT]), len(CLASSES)).float()
    if card.pairs:
        return Scenes(images.contiguous(), labels=classes)
    boxes = torch.tensor([[[2.0, 3.0, 9.0, 12.0], [math.nan] * 4]]).repeat(_COUNT, 1, 1)
    keypoints = torch.tensor([[[4.0, 5.0], [math.nan, math.nan]]]).repeat(_COUNT, 1, 1)
    masks = (images.mean(1, keepdim=True) > 0.4).to(torch.uint8)
    return Scenes(images.contiguous(), masks, boxes, keypoints)


def _parts(scenes: Scenes) -> dict[str, Tensor]:
    found = {name: getattr(scenes, name) for name in ("images", "masks", "boxes", "keypoints", "labels")}
    return {name: tensor for name, tensor in found.items() if tensor is not None}
