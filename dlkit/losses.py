"""Losses that PyTorch computes slowly on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """−t log σ(x) − (1 − t) log(1 − σ(x)) of each element, float32 or float64.

    As ``F.binary_cross_entropy_with_logits(…, reduction="none")``, to float precision *relative to one*: log(1 + e)
    stands for log1p(e), which PyTorch does not vectorise, so that of 784 pixels it takes longer than a layer. Not
    differentiable twice, nor with respect to the targets.

    Args:
        logits: x, of any shape.
        targets: t in [0, 1], same shape.
    """
    loss: Tensor = _BinaryCrossEntropy.apply(logits, targets)
    return loss


class _BinaryCrossEntropy(torch.autograd.Function):
    """max(x, 0) − x t + log(1 + exp(−|x|)), with the derivative σ(x) − t."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        ctx.save_for_backward(logits, targets)
        return logits.abs().neg_().exp_().add_(1).log_().add_(logits.clamp_min(0)).sub_(logits * targets)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        logits, targets = ctx.saved_tensors
        return torch.sigmoid(logits).sub_(targets).mul_(gradient), None
