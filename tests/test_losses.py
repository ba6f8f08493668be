"""Our losses against PyTorch's."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from dlkit.losses import binary_cross_entropy


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_binary_cross_entropy_is_pytorchs(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.cat([torch.randn(500, generator=generator) * 10, torch.tensor([0.0, 90.0, -90.0, 1e4, -1e4])])
    targets = torch.cat([torch.rand(500, generator=generator), torch.tensor([0.5, 0.0, 1.0, 1.0, 0.0])])
    logits, targets = logits.to(dtype), targets.to(dtype)
    both = [logits.clone().requires_grad_() for _ in range(2)]
    ours = binary_cross_entropy(both[0], targets)
    theirs = F.binary_cross_entropy_with_logits(both[1], targets, reduction="none")
    size = 4 * torch.finfo(dtype).eps * (1 + logits.abs())  # both subtract x t from a number of that size
    assert bool(((ours - theirs).abs() <= size).all())
    weights = torch.rand(505, generator=generator, dtype=dtype)
    for given, loss in zip(both, (ours, theirs), strict=True):
        (loss * weights).sum().backward()
        assert given.grad is not None
    torch.testing.assert_close(both[0].grad, both[1].grad)


def test_its_gradient_is_that_of_finite_differences() -> None:
    logits = torch.linspace(-4, 4, 9, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: binary_cross_entropy(x, torch.full_like(x, 0.3)), logits)
