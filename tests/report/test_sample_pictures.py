"""The training images that every report shows."""

from __future__ import annotations

import torch

from dlkit.data.data import Resident, Split
from dlkit.pictures import SAMPLES, _some


def test_all_classes_of_a_sorted_folder_are_shown_and_labelled_images_before_others() -> None:
    labels = torch.arange(4).repeat_interleave(100)
    pixels = Resident(torch.zeros(400, 1, 2, 2, dtype=torch.uint8))
    shown = _some(Split("train", pixels, labels, None))
    assert shown.labels is not None
    assert shown.labels.bincount().tolist() == [SAMPLES // 4] * 4
    few = labels.where(torch.arange(400) % 100 < 2, torch.tensor(-1))
    shown = _some(Split("train", pixels, few, None))
    assert shown.labels is not None
    assert shown.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert len(_some(Split("train", pixels, None, None))) == SAMPLES
