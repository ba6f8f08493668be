"""Losses and penalties of the game against formulas, PyTorch's own, and finite differences."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from dlkit_builtin.gan.augmentation import draw_changes
from dlkit_builtin.gan.losses import generated_loss, generator_loss, genuine_loss, squared_gradients, wgan_penalty
from torch import Tensor, nn
from torch.nn import functional as F


def discriminator_loss(loss: Any, genuine: Tensor, generated: Tensor, smooth: float = 0.0) -> Tensor:
    return (genuine_loss(loss, genuine, smooth) + generated_loss(loss, generated)).mean()


GENUINE, GENERATED = torch.tensor([1.5, -0.5, 0.2, 3.0]), torch.tensor([-1.0, 0.7, 0.1, -2.0])


def test_minimax_and_non_saturating_are_cross_entropies() -> None:
    ones, zeros = torch.ones(4), torch.zeros(4)
    expected = F.binary_cross_entropy_with_logits(GENUINE, ones) + F.binary_cross_entropy_with_logits(GENERATED, zeros)
    for loss in ("minimax", "non-saturating"):
        assert discriminator_loss(loss, GENUINE, GENERATED) == pytest.approx(expected.item())
    smoothed = F.binary_cross_entropy_with_logits(GENUINE, 0.9 * ones)
    smoothed = smoothed + F.binary_cross_entropy_with_logits(GENERATED, zeros)
    assert discriminator_loss("minimax", GENUINE, GENERATED, 0.1) == pytest.approx(smoothed.item())
    of_zeros = F.binary_cross_entropy_with_logits(GENERATED, zeros)
    assert generator_loss("minimax", GENERATED) == pytest.approx(-of_zeros.item())
    of_ones = F.binary_cross_entropy_with_logits(GENERATED, ones)
    assert generator_loss("non-saturating", GENERATED) == pytest.approx(of_ones.item())


def test_the_others_are_their_formulas() -> None:
    x, y = GENUINE.tolist(), GENERATED.tolist()
    hinge = sum(max(0, 1 - a) + max(0, 1 + b) for a, b in zip(x, y, strict=True)) / 4
    assert discriminator_loss("hinge", GENUINE, GENERATED) == pytest.approx(hinge)
    squares = sum((a - 1) ** 2 / 2 + b**2 / 2 for a, b in zip(x, y, strict=True)) / 4
    assert discriminator_loss("lsgan", GENUINE, GENERATED) == pytest.approx(squares)
    assert generator_loss("lsgan", GENERATED) == pytest.approx(sum((b - 1) ** 2 / 2 for b in y) / 4)
    assert discriminator_loss("wgan-gp", GENUINE, GENERATED) == pytest.approx((sum(y) - sum(x)) / 4)
    for loss in ("hinge", "wgan-gp"):
        assert generator_loss(loss, GENERATED) == pytest.approx(-sum(y) / 4)  # type: ignore[arg-type]


def test_squared_gradients_of_a_quadratic() -> None:
    images = torch.randn(3, 1, 2, 2).requires_grad_()
    squares = squared_gradients(images.square().flatten(1).sum(1), images)
    assert torch.allclose(squares, 4 * images.square().flatten(1).sum(1))


def test_the_wgan_penalty_of_a_linear_critic() -> None:
    weights = nn.Linear(4, 1, bias=False)
    norm = weights.weight.norm()
    genuine, generated = torch.randn(5, 1, 2, 2), torch.randn(5, 1, 2, 2)
    penalty = wgan_penalty(lambda x: weights(x.flatten(1)).squeeze(1), genuine, generated, torch.rand(5))
    assert penalty.item() == pytest.approx(10 * (norm.item() - 1) ** 2, rel=1e-5)
    penalty.backward()
    expected = 20 * (norm - 1) * weights.weight / norm
    assert weights.weight.grad is not None
    assert torch.allclose(weights.weight.grad, expected, atol=1e-5)


def test_augmentation_leaves_what_it_is_not_asked_to_change() -> None:
    images = torch.rand(6, 3, 16, 12) * 2 - 1
    generator = torch.Generator().manual_seed(0)
    assert torch.equal(draw_changes((), 6, generator)(images), images)
    moved = draw_changes(("translation",), 6, generator)(images)
    assert moved.shape == images.shape
    for image, there in zip(images, moved, strict=True):  # every row of pixels is a shifted one, or black
        found = [
            torch.equal(torch.roll(image, (down, right), (1, 2))[:, 2:-2, 2:-2], there[:, 2:-2, 2:-2])
            for down in range(-2, 3)
            for right in range(-2, 3)
        ]
        assert sum(found) == 1
    cut = draw_changes(("cutout",), 6, generator)(images)
    assert ((cut == 0).all(1).sum((1, 2)) == 8 * 6).all()
    assert torch.equal(cut[cut != 0], images[cut != 0])


def test_augmentation_can_be_differentiated() -> None:
    changes = draw_changes(("color", "translation", "cutout"), 2, torch.Generator().manual_seed(0))
    images = (torch.rand(2, 3, 8, 8, dtype=torch.float64) * 2 - 1).requires_grad_()
    assert torch.autograd.gradcheck(changes, (images,))
