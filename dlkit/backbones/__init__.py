"""Networks that turn images into features: pretrained ones by name, weights files, callables, earlier runs.

Names are loaded on first use, so that options need no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlkit.backbones.card import BackboneCard
from dlkit.backbones.options import BackboneOptions
from dlkit.lazy import loader

if TYPE_CHECKING:
    from dlkit.backbones.backbone import Backbone, Stage, Tap
    from dlkit.backbones.build import build_backbone, fetched_form, image_form, restore_backbone

__all__ = [
    "Backbone",
    "BackboneCard",
    "BackboneOptions",
    "Stage",
    "Tap",
    "build_backbone",
    "fetched_form",
    "image_form",
    "restore_backbone",
]

__getattr__ = loader(
    __name__,
    {
        "Backbone": "backbone",
        "Stage": "backbone",
        "Tap": "backbone",
        "build_backbone": "build",
        "fetched_form": "build",
        "image_form": "build",
        "restore_backbone": "build",
    },
)
