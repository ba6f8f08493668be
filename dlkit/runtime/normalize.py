"""Normalisation as a part of the model, so that it travels with the export."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dlkit.data.spec import Normalization


class Normalize(nn.Module):
    """``(pixels - mean) / std`` with the train split's statistics; nothing at all for the mode ``none``.

    Args:
        normalization: the data spec's; its mean and std broadcast against ``(C, H, W)``.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, normalization: Normalization) -> None:
        super().__init__()
        self.identity = normalization.mode == "none"
        for name, raw in (("mean", normalization.mean), ("std", normalization.std)):
            values = torch.frombuffer(bytearray(raw), dtype=torch.float32).reshape(normalization.shape)
            self.register_buffer(name, values)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` in [0, 1] → what the model computes with."""
        return pixels if self.identity else (pixels - self.mean) / self.std

    def inverse(self, values: Tensor) -> Tensor:
        """The inverse of :meth:`forward`: back to pixels."""
        return values if self.identity else values * self.std + self.mean
