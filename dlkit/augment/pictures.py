"""What a policy does to images, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from dlkit.augment.applying import apply
from dlkit.augment.draws import Draws, sample_keys
from dlkit.augment.scenes import Scenes
from dlkit.report.picture import Picture

if TYPE_CHECKING:
    from dlkit.augment.policy import Policy
    from dlkit.data import Split
    from dlkit.runtime import Runtime

_IMAGES, _TIMES = 8, 8


def augmentation_pictures(policy: Policy | None, train: Split, runtime: Runtime) -> Iterator[Picture]:
    """A contact sheet: a row for each of the first training images, as it is and augmented several times.

    Args:
        policy: the training's, or None: nothing is drawn.
        train: the training images.
        runtime: of the seed; the draws are those of other epochs than training's.
    """
    if policy is None or not len(train):
        return
    from dlkit.report import plots

    images = train.pixels(torch.arange(min(_IMAGES, len(train))))
    labels = F.one_hot(torch.arange(len(images)), len(images)).float() if policy.mixes else None
    scenes = Scenes(images, labels=labels)
    columns = [images]
    for turn in range(_TIMES):
        keys = sample_keys(runtime.derive("augment", "pictures", turn), torch.arange(len(images)))
        columns.append(apply(policy, scenes, Draws(keys)).images)
    rows = list(torch.stack(columns, 1))
    caption = (
        f"Training images as they are (left) and as training saw them: {policy}. Figures and predictions are of images "
        "as they are."
    )
    figure = plots.image_grid(rows, [""] * len(rows), ["original", *[""] * _TIMES])
    yield Picture("augmentation", "Augmentation", caption, figure)
