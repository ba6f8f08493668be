"""The data of a training and of a run: loaded in the right form, checked, and what is odd about it told."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch

from dlkit import ranks
from dlkit.augment.training import check_augmentation, check_images
from dlkit.data import load_data
from dlkit.data.resolve import source_of
from dlkit.data.spec import LABEL_SAYS
from dlkit.errors import DataError, UsageError
from dlkit.probes.targets import targets_of
from dlkit.runtime.device import own_threads

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.display import Display
    from dlkit.run import Run
    from dlkit.settings import Settings


def load_training_data(settings: Settings, display: Display) -> ImageData:
    """The data that the settings name, fit for training; what is odd about it is told.

    Raises:
        UsageError: ``--normalize`` for a technique that knows better; ``--augment`` where it does not fit.
        DataError: it cannot be read, lacks the labels that the technique needs, or they are all alike.
    """
    check_augmentation(settings)
    if settings.card.image_form and settings.data.normalize != "none":
        raise UsageError(
            f"--normalize {settings.data.normalize}: {settings.card.name} normalises images as its network's weights "
            "want them.",
            "Leave it out.",
        )
    form = settings.card.form(settings.options)
    workers = settings.runtime.workers or (own_threads() if ranks.count() > 1 else None)
    data = load_data(settings.data, form=form, progress=display, workers=workers)
    check_images(settings.augment.augment, data.spec)
    for notice in data.notices:
        display.warn(notice)
    card, target = settings.card, data.spec.target
    if card.needs_labels and not data.spec.classes:
        raise DataError(
            f"{card.name} needs labels, which {settings.data.data!r} has not.",
            "Put the images in one folder per class, or give a manifest with a label column.",
        )
    if card.needs_labels and target not in card.targets:
        able = " or ".join(LABEL_SAYS[kind] for kind in card.targets)
        raise DataError(
            f"{card.name} learns from {able}; the labels of {settings.data.data!r} are {LABEL_SAYS[target]}.",
            f"--target says how they are taken: {', '.join(card.targets)}.",
        )
    if card.needs_labels:
        known = _check_labels(data)
        if known < len(data.train):
            display.info(f"{known:,} of the {len(data.train):,} training images are labelled.")
    return data


def _check_labels(data: ImageData) -> int:
    """See that the training images' labels have something to teach; how many there are."""
    targets, known = targets_of(data.train, data.spec)
    if len(known) == 0:
        raise DataError("No training image is labelled.", "Label some, or see how `dlkit data` reads them.")
    if targets.kind == "classes" and (targets.values == targets.values[0]).all():
        raise DataError(
            f"All {len(known):,} labelled training images are of the class {data.spec.classes[targets.values[0]]!r}: "
            "there is nothing to tell apart.",
            "Put the images of each class in a folder of its own, or see how `dlkit data` reads them.",
        )
    if len(known) < 2:
        raise DataError("One training image is labelled; at least 2 are needed.", "Label more images.")
    return len(known)


def load_for(run: Run, display: Display, *, data: str | None = None) -> ImageData:
    """The run's own data, or other data brought into the same form; what is odd about it is told.

    Raises:
        DataError: it cannot be read, or does not fit.
    """
    options = run.settings.data if data is None else dataclasses.replace(run.settings.data, data=data)
    loaded = load_data(
        options,
        like=run.spec,
        drop_unknown=not run.settings.card.needs_labels,
        progress=display,
        workers=run.settings.runtime.workers,
    )
    for notice in loaded.notices:
        display.warn(notice)
    if data is None and loaded.spec.fingerprint != run.spec.fingerprint:
        display.warn(f"The data {options.data!r} has changed since {run.name} was trained on it.")
    return loaded


def load_to_evaluate(run: Run, display: Display, data: str | None) -> tuple[ImageData, bool]:
    """What a run is evaluated on, and whether it is its own data: of other data the held-out images are the test split,
    beside the run's own training images.

    Raises:
        DataError: it cannot be read, or does not fit.
    """
    own = data is None or source_of(data) == run.spec.source
    loaded = load_for(run, display, data=None if own else data)
    return (loaded, True) if own else (beside_own(run, loaded, display), False)


def beside_own(run: Run, other: ImageData, display: Display) -> ImageData:
    """Other data's held-out images as the test split, the run's own training images as the train split."""
    nothing = torch.zeros(0, dtype=torch.int64)
    try:
        train = load_for(run, display).train
    except DataError as error:
        display.warn(f"No baselines are fitted: the run's own data cannot be read. {error.message}")
        train = other.train.subset(nothing)
    test = other.held_out.renamed("test")
    return dataclasses.replace(other, train=train, val=other.val.subset(nothing), test=test)
