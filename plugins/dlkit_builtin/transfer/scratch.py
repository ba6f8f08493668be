"""Training from nothing: the backbone's own architecture with random weights, to show what pretraining was worth."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch

from dlkit.backbones import restore_backbone
from dlkit.errors import UsageError

if TYPE_CHECKING:
    from dlkit.runtime import Runtime
    from dlkit_builtin.transfer.network import Network
    from dlkit_builtin.transfer.options import TransferOptions


def forget(network: Network, options: TransferOptions, runtime: Runtime) -> TransferOptions:
    """Draw the backbone's weights anew, repeatably from the seed, in place.

    Returns:
        The options with which such a network trains: one learning rate for all of it, and batch norm that estimates
        its statistics, since there are none to keep.

    Raises:
        UsageError: ``--l2-sp``; the network cannot be built again.
    """
    if options.l2_sp > 0:
        raise UsageError(f"--l2-sp {options.l2_sp} holds weights near pretrained ones, which scratch does not have.",
                         "Use --weight-decay.")  # fmt: skip
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(runtime.derive("scratch"))
        fresh = restore_backbone(options, network.backbone.origin.recipe)
    network.backbone.network.load_state_dict(fresh.network.state_dict())
    return dataclasses.replace(options, backbone_lr_factor=1.0, layer_decay=1.0, batch_norm="train")
