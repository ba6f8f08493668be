"""One training of the learner: the registry's classifier, or transfer with a backbone."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dlkit.augment import Policy
from dlkit.augment.training import for_training
from dlkit.data.data import ImageData, Split
from dlkit.data.spec import DataSpec, ImageForm
from dlkit.discovery import registry
from dlkit.errors import UsageError
from dlkit.files import user_path
from dlkit.places import recipe_of
from dlkit.run.scratch import Scratch
from dlkit.runtime import Runtime
from dlkit.session import build_technique
from dlkit.settings import Settings, resolve, technique_of
from dlkit.supervised.objective import OUTPUT_KINDS
from dlkit.technique import State, Technique
from dlkit_builtin.augment_search.options import AugmentSearchOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dlkit.card import Card


def learner_settings(options: AugmentSearchOptions, policy: str = "") -> Settings:
    """The settings of a training, with this policy and no other, whatever the learner's config says of augmentation.

    Raises:
        UsageError: the learner's config is not one, or the learner cannot be augmented batch by batch.
    """
    config = None if options.learner is None else user_path(options.learner)
    card = _card(options, config)
    flags: dict[str, object] = {"augment": Policy.parse(policy) if policy else "none", "augment_copies": "none"}
    if options.backbone is not None:
        flags["backbone"] = options.backbone
    if options.epochs is not None:
        flags["epochs"] = options.epochs
    settings = resolve(card, config=config, flags=flags)
    if getattr(settings.options, "strategy", "") == "auto":
        settings = resolve(card, config=config, flags=flags | {"strategy": "finetune"})
    if "classify" not in card.capabilities(settings.options):
        raise UsageError(f"--learner: {card.name} does not learn classes.", "Give a config of classifier or transfer.")
    if card.augments(settings.options) != "batches":
        raise UsageError(
            f"--learner: {card.name} learns from features that are computed once with these options.",
            "Choose a strategy that trains the network: strategy = \"finetune\".",
        )  # fmt: skip
    return settings


def _card(options: AugmentSearchOptions, config: Path | None) -> Card:
    """Of transfer, where there is a backbone; else of the technique that the config is for, or of the classifier."""
    if options.backbone is not None:
        return registry().technique("transfer")
    return registry().technique("classifier") if config is None else technique_of(config, registry())


def image_form(options: AugmentSearchOptions) -> ImageForm | None:
    """How the learner wants its images."""
    settings = learner_settings(options)
    return settings.card.form(settings.options)


class Learner:
    """Trains and asks.

    Args:
        options: which learner.
        spec: of the data.
    """

    def __init__(self, options: AugmentSearchOptions, spec: DataSpec) -> None:
        self.options, self.spec = options, spec
        self.settings = learner_settings(options)

    @property
    def mixes(self) -> bool:
        """Whether it can learn from mixed labels."""
        return self.settings.card.mixes(self.settings.options)

    @cached_property
    def recipe(self) -> Mapping[str, Any]:
        """What :func:`restored` needs, as JSON."""
        return recipe_of(self.settings, self.spec)

    def trained(self, data: ImageData, policy: str, runtime: Runtime, folder: Path) -> Technique[Any]:
        """A model that learned from ``data.train``, augmented; ``data.val`` chooses the epoch where there is one.

        Args:
            data: of the spec.
            policy: as ``--augment`` takes it; empty: none.
            runtime: of the seed.
            folder: of checkpoints; a training that was stopped there goes on.
        """
        settings = learner_settings(self.options, policy)
        technique = build_technique(settings, self.spec, runtime)
        run: Any = Scratch(folder)
        technique.train(for_training(data, settings, runtime), runtime, run)
        return technique


def restored(recipe: Mapping[str, Any], state: State, spec: DataSpec) -> Technique[Any]:
    """A model from its state.

    Raises:
        UsageError: the learner does not know an option any more.
    """
    card = registry().technique(recipe["technique"])
    options = resolve(card, flags=recipe["options"]).options
    return card.load().load(state, options, spec)


def seeded(runtime: Runtime, seed: int) -> Runtime:
    """A runtime of its own for a training, which the run's own must not count among its phases."""
    return Runtime(dataclasses.replace(runtime.options, seed=seed))


def predictions(technique: Technique[Any], split: Split, runtime: Runtime) -> Tensor:
    """Probabilities of all images of a split, ``(N, K)`` float32 on the CPU."""
    place = list(technique.outputs().values()).index(OUTPUT_KINDS["classes"])
    module = runtime.prepare(technique.inference_module())
    return runtime.collect(lambda images: module(images)[place], split)


def right(outputs: Tensor, split: Split) -> Tensor:
    """Which of the labelled images have the right answer, bool."""
    assert split.labels is not None  # noqa: S101 - the card needs labels
    known = split.labels >= 0
    return outputs.argmax(1)[known] == split.labels[known]


def nothing_of(split: Split) -> Split:
    """None of its images."""
    return split.subset(torch.zeros(0, dtype=torch.int64))
