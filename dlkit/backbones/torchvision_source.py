"""Backbones by torchvision's names: ``torchvision/squeezenet1_0``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlkit.backbones.backbone import Backbone
from dlkit.backbones.options import BackboneOptions
from dlkit.data.spec import ImageForm


def form(options: BackboneOptions) -> ImageForm:
    """What torchvision knows about the weights' input."""
    raise NotImplementedError


def build(options: BackboneOptions, arguments: Mapping[str, Any]) -> Backbone:
    """The network, with published weights, a file's, or random ones."""
    raise NotImplementedError
