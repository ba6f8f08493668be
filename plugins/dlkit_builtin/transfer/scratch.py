"""Training from nothing, to show what pretraining was worth: a small residual network, obtained by name.

It is what trains on a folder of images without a large data set behind it; the pretrained architecture with random
weights would be slower and worse.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from dlkit.backbones import Backbone, build_backbone, fetched_form
from dlkit.data.spec import ImageForm

if TYPE_CHECKING:
    from dlkit_builtin.transfer.options import TransferOptions

BACKBONE = "small-resnet"
"""Its name in the registry, where the plugin of ``classifier`` puts it."""


@contextmanager
def drawn_from(seed: int) -> Iterator[None]:
    """Weights made within depend on the seed alone, whatever was drawn before: by a race, say."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        yield


def image_form(options: TransferOptions) -> ImageForm:
    """The images that the strategy's network takes, where the user does not say."""
    return fetched_form(_without_pretraining(options, None) if options.strategy == "scratch" else options)


def scratch_backbone(options: TransferOptions, side: int, seed: int = 0) -> Backbone:
    """A small network for images of this side; its weights depend on the seed alone."""
    with drawn_from(seed):
        return build_backbone(_without_pretraining(options, side))


def training_options(options: TransferOptions) -> TransferOptions:
    """How such a network trains: one learning rate for all of it, and batch norm that estimates its statistics."""
    return dataclasses.replace(options, backbone_lr_factor=1.0, layer_decay=1.0, batch_norm="train")


def _without_pretraining(options: TransferOptions, side: int | None) -> TransferOptions:
    arguments = () if side is None else (f"side={side}",)
    return dataclasses.replace(options, backbone=BACKBONE, weights=None, random_init=True, backbone_arg=arguments)
