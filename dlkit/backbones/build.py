"""From the options to a backbone: which source builds it, with which weights."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from dlkit.backbones.backbone import Backbone
from dlkit.backbones.options import BackboneOptions
from dlkit.data.spec import ImageForm


def arguments_of(options: BackboneOptions) -> dict[str, Any]:
    """``KEY=VALUE`` pairs; a value is a Python literal where it reads as one, else a string."""
    return {key: _literal(value) for key, _, value in (argument.partition("=") for argument in options.backbone_arg)}


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return {"true": True, "false": False, "none": None}.get(text.lower(), text)


def build_backbone(options: BackboneOptions) -> Backbone:
    """The backbone that the options name, with its weights, in eval mode on the CPU.

    Raises:
        UsageError: there is no such network, or its arguments do not fit.
        DataError: the weights cannot be fetched or read, or are not this network's.
    """
    from dlkit.backbones import timm_source, torchvision_source

    if options.backbone.startswith("torchvision/"):
        return torchvision_source.build(options, arguments_of(options))
    return timm_source.build(options, arguments_of(options))


def image_form(options: BackboneOptions) -> ImageForm:
    """The images that the backbone's weights were trained for; builds no network.

    Raises:
        UsageError: there is no such network.
    """
    from dlkit.backbones import timm_source, torchvision_source

    if options.backbone.startswith("torchvision/"):
        return torchvision_source.form(options)
    return timm_source.form(options)


def restore_backbone(options: BackboneOptions, recipe: Mapping[str, Any]) -> Backbone:  # noqa: ARG001
    """The same network as when ``recipe`` (its ``origin.recipe``) was kept, with random weights: for loading a run.

    Raises:
        DataError: it cannot be built any more.
    """
    import dataclasses

    return build_backbone(dataclasses.replace(options, weights=None, random_init=True))
