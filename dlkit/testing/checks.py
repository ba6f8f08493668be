"""The table of checks: name, what it holds a plugin to, and where it is; light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["technique", "augmenter", "dataset", "backbone", "exporter", "logger"]
"""What a plugin can bring that has checks."""


@dataclass(frozen=True)
class Check:
    """One promise of the contract.

    Attributes:
        kind: what it is a promise of.
        name: as ``--only``, exceptions and pytest's items know it.
        promise: the promise, one sentence.
        implementation: ``"module:function"``, imported when the check runs.
        slow: takes seconds; pytest marks it ``slow``.
    """

    kind: Kind
    name: str
    promise: str
    implementation: str
    slow: bool = False


_CARDS = "dlkit.testing.card_checks"
_OPTIONS = "dlkit.testing.option_checks"
_TRAINING = "dlkit.testing.training_checks"
_MODEL = "dlkit.testing.model_checks"
_DATA = "dlkit.testing.data_checks"
_AUGMENTERS = "dlkit.testing.augmenter_checks"
_OTHERS = "dlkit.testing.other_checks"

CHECKS: tuple[Check, ...] = (
    Check("technique", "card_is_light", "The plugin's module imports nothing heavy.", f"{_CARDS}:card_is_light"),
    Check("technique", "card_is_complete", "The card says all that help, lists and docs show, and its examples fit.",
          f"{_CARDS}:card_is_complete"),
    Check("technique", "options_round_trip", "An option means the same as a flag, in a config file and in Python.",
          f"{_OPTIONS}:options_round_trip"),
    Check("technique", "bad_options_are_refused", "A value that does not fit is a UsageError that names it.",
          f"{_OPTIONS}:bad_options_are_refused"),
    Check("technique", "training_works", "It trains on a few images, to finite weights, in the phases of its plan.",
          f"{_TRAINING}:training_works"),
    Check("technique", "nothing_deprecated", "It uses nothing that a coming release of dlkit takes away.",
          f"{_TRAINING}:nothing_deprecated"),
    Check("technique", "default_run_works", "With default options it trains, evaluates, draws and reports.",
          f"{_TRAINING}:default_run_works", slow=True),
    Check("technique", "loss_falls", "The training loss of each phase falls.", f"{_TRAINING}:loss_falls"),
    Check("technique", "seed_repeats", "The same seed gives the same weights, to the bit.",
          f"{_TRAINING}:seed_repeats"),
    Check("technique", "resume_equals", "Stopped in every epoch and resumed, it ends with the same bits.",
          f"{_TRAINING}:resume_equals"),
    Check("technique", "test_split_is_unseen", "Training never looks at data.test.",
          f"{_TRAINING}:test_split_is_unseen"),
    Check("technique", "two_processes", "Two processes train as one does.", f"{_TRAINING}:two_processes", slow=True),
    Check("technique", "save_load_equals", "Saved and loaded, it computes the same, to the bit.",
          f"{_MODEL}:save_load_equals"),
    Check("technique", "capabilities_hold", "What the card's capabilities promise, it does, in the right shapes.",
          f"{_MODEL}:capabilities_hold"),
    Check("technique", "metrics_have_baselines", "Each figure is finite and stands beside a baseline.",
          f"{_MODEL}:metrics_have_baselines"),
    Check("technique", "evaluation_repeats", "Loaded and evaluated again, it gives the same figures.",
          f"{_MODEL}:evaluation_repeats"),
    Check("technique", "export_equals", "Its ONNX export computes what the model does.", f"{_MODEL}:export_equals",
          slow=True),
    Check("technique", "grey_and_colour", "It learns from images of one channel and of three.",
          f"{_DATA}:grey_and_colour"),
    Check("technique", "bad_data_is_refused", "Odd data trains or is a DlkitError; nothing else.",
          f"{_DATA}:bad_data_is_refused"),
    Check("technique", "nothing_outside_the_run",
          "It writes into the run and the cache only, leaves no temporary files, and opens no connection.",
          f"{_DATA}:nothing_outside_the_run"),
    Check("augmenter", "card_is_light", "The plugin's module imports nothing heavy.", f"{_CARDS}:card_is_light"),
    Check("augmenter", "card_is_complete", "It has a summary that is a sentence.", f"{_CARDS}:listed_is_complete"),
    Check("augmenter", "parameters_are_sound", "Parameters have help and bounds, and policies name it.",
          f"{_AUGMENTERS}:parameters_are_sound"),
    Check("augmenter", "keeps_the_form", "Same sizes and types, pixels in [0, 1], inputs untouched.",
          f"{_AUGMENTERS}:keeps_the_form"),
    Check("augmenter", "does_something", "At full strength images change.", f"{_AUGMENTERS}:does_something"),
    Check("augmenter", "draws_belong_to_samples", "A sample becomes the same image again, in any batch.",
          f"{_AUGMENTERS}:draws_belong_to_samples"),
    Check("dataset", "card_is_light", "The plugin's module imports nothing heavy.", f"{_CARDS}:card_is_light"),
    Check("dataset", "card_is_complete", "It has a summary that is a sentence.", f"{_CARDS}:listed_is_complete"),
    Check("dataset", "loads", "Images, labels and classes fit together.", f"{_OTHERS}:dataset_loads"),
    Check("dataset", "repeats", "Loaded again it is the same data.", f"{_OTHERS}:dataset_repeats"),
    Check("backbone", "card_is_light", "The plugin's module imports nothing heavy.", f"{_CARDS}:card_is_light"),
    Check("backbone", "card_is_complete", "It has a summary that is a sentence.", f"{_CARDS}:listed_is_complete"),
    Check("backbone", "builds", "Features are finite, repeat, and pass gradients.", f"{_OTHERS}:backbone_builds"),
    Check("backbone", "has_stages", "Its stages can be tapped.", f"{_OTHERS}:backbone_has_stages"),
    Check("exporter", "card_is_light", "The plugin's module imports nothing heavy.", f"{_CARDS}:card_is_light"),
    Check("exporter", "card_is_complete", "It has a summary that is a sentence.", f"{_CARDS}:listed_is_complete"),
    Check("exporter", "equals_the_model", "A file that it writes computes what the model does.",
          f"{_OTHERS}:format_equals", slow=True),
    Check("logger", "card_is_light", "The plugin's module imports nothing heavy.", f"{_CARDS}:card_is_light"),
    Check("logger", "hooks_work", "Its hooks work around a training, and write into the run only.",
          f"{_OTHERS}:hooks_work"),
)  # fmt: skip
"""All checks, in the order in which they run."""
