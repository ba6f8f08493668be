"""Augmentation: policies of augmenters, applied in batches on the training device.

Names are loaded on first use, so that options and cards need no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlkit.augment.card import AugmenterCard, Parameter, Range
from dlkit.augment.policy import Policy, Step, step_at
from dlkit.lazy import loader

if TYPE_CHECKING:
    from dlkit.augment.applying import History, apply, operate
    from dlkit.augment.draws import Draws, sample_keys
    from dlkit.augment.scenes import Augmenter, Scenes

__all__ = [
    "Augmenter",
    "AugmenterCard",
    "Draws",
    "History",
    "Parameter",
    "Policy",
    "Range",
    "Scenes",
    "Step",
    "apply",
    "operate",
    "sample_keys",
    "step_at",
]

__getattr__ = loader(
    __name__,
    {
        "Augmenter": "scenes",
        "Draws": "draws",
        "History": "applying",
        "Scenes": "scenes",
        "apply": "applying",
        "operate": "applying",
        "sample_keys": "draws",
    },
)
