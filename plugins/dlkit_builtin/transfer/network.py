"""Backbone and head as one network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dlkit.backbones import Backbone, Tap


class Network(nn.Module):
    """Pixels → taps of the backbone, side by side → head → logits."""

    def __init__(self, backbone: Backbone, taps: Sequence[Tap], head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.taps = tuple(taps)
        self.head = head

    def features(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → features ``(B, D)``."""
        return torch.cat(self.backbone.features(images, self.taps), 1)

    def forward(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → logits ``(B, K)``."""
        logits: Tensor = self.head(self.features(images))
        return logits


class Inference(nn.Module):
    """The network as it is used: pixels in, probabilities out."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Pixels ``(B, C, H, W)`` → probabilities ``(B, K)``."""
        return (self.network(images).softmax(1),)
