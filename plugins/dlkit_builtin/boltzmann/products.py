"""The matrix products of contrastive divergence, in float32 or in bfloat16; weights are float32 either way."""

from __future__ import annotations

import torch
from torch import Tensor

FEW_ROWS = 64
"""With fewer rows the update's product takes hardly longer than going through W, which float32 does once."""


class Products:
    """What an update multiplies W with, and adds to it.

    In bfloat16 the factors are rounded and sums are float32 inside a product; its result is rounded once more, before
    biases are added. States of 0 and 1 lose nothing.

    Args:
        weight: W, ``(H, V)`` float32; changed from outside, and seen as it is at :meth:`begin`.
        precision: ``fp32`` or ``bf16``.
    """

    def __init__(self, weight: Tensor, precision: str) -> None:
        self.weight = weight
        self.rounded = torch.empty_like(weight, dtype=torch.bfloat16) if precision == "bf16" else None

    def begin(self) -> None:
        """W stays as it is now until :meth:`add_outer`."""
        if self.rounded is not None:
            self.rounded.copy_(self.weight)

    def up(self, visible: Tensor, bias: Tensor, out: Tensor) -> Tensor:
        """v Wᵀ + c: ``(B, V)`` → ``(B, H)``."""
        if self.rounded is None:
            return torch.addmm(bias, visible, self.weight.t(), out=out)
        return torch.add(visible.bfloat16() @ self.rounded.t(), bias, out=out)

    def down(self, hidden: Tensor, bias: Tensor, out: Tensor) -> Tensor:
        """h W + a: ``(B, H)`` → ``(B, V)``."""
        if self.rounded is None:
            return torch.addmm(bias, hidden, self.weight, out=out)
        return torch.add(hidden.bfloat16() @ self.rounded, bias, out=out)

    def add_outer(self, into: Tensor, hidden: Tensor, visible: Tensor, *, beta: float, alpha: float) -> None:
        """into ← β into + α hᵀ v, of ``(N, H)`` and ``(N, V)``."""
        if self.rounded is None or len(hidden) < FEW_ROWS:
            into.addmm_(hidden.t(), visible, beta=beta, alpha=alpha)
            return
        if beta != 1:
            into.mul_(beta)
        into.add_(hidden.bfloat16().t() @ visible.bfloat16(), alpha=alpha)
