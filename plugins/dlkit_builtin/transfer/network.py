"""Backbone, head and objective as one network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dlkit.backbones import Backbone, Tap
from dlkit.supervised.objective import Objective


class Network(nn.Module):
    """Pixels → taps of the backbone, side by side → head → logits.

    Attributes:
        objective: what logits mean; its statistics belong to the network's state.
    """

    def __init__(self, backbone: Backbone, taps: Sequence[Tap], head: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.backbone = backbone
        self.taps = tuple(taps)
        self.head = head
        self.objective = objective

    def features(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → features ``(B, D)``."""
        return torch.cat(self.backbone.features(images, self.taps), 1)

    def forward(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → logits ``(B, K)``."""
        logits: Tensor = self.head(self.features(images))
        return logits

    def size(self, taps: Sequence[Tap]) -> int:
        """D of the features at ``taps``, averaged over places."""
        return sum(self.backbone.stage(tap.stage).channels for tap in taps)
