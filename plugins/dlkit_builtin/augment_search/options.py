"""The options of the search for augmentations."""

from __future__ import annotations

from dataclasses import dataclass

from dlkit.options import Options, option
from dlkit.options.values import Duration


@dataclass(frozen=True, kw_only=True)
class AugmentSearchOptions(Options):
    """Augment search"""

    backbone: str | None = option(
        None,
        "Fine-tune this network (transfer) in place of training one from scratch (classifier).",
        metavar="NAME",
        place="backbone",
    )
    learner: str | None = option(
        None,
        "Train this instead, with all its options: a config file of the classifier or of transfer, as --write-config "
        "writes it.",
        metavar="FILE",
        place="file",
    )
    augmenters: tuple[str, ...] = option(
        (), "Try only these augmenters or families; by default all that are installed.", metavar="NAME,…"
    )
    epochs: int | None = option(None, "Epochs of each training; by default the learner's own.", min=1)
    search_seeds: int = option(
        5,
        "Trainings of what stays in the race, each with another seed, tested on another part of the training images.",
        min=2,
        max=20,
    )
    images: int = option(2000, "Search on so many training images at most.", min=20)
    budget: Duration = option(
        Duration(900.0), "How long the search may take; the trainings that are compared at the end come on top.",
        metavar="TIME",
    )  # fmt: skip
    final_seeds: int = option(
        3, "Trainings with each policy that is compared in the end: none, the usual, TrivialAugment, the one found.",
        min=1, max=20,
    )  # fmt: skip
