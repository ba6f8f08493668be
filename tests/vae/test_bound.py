"""The formulas against torch.distributions and closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from dlkit_builtin.vae.bound import (
    bernoulli_log_likelihood,
    gaussian_log_likelihood,
    importance_weighted,
    kl_divergence,
    log_weights,
    penalty,
    unit_activity,
)
from torch import Tensor
from torch.distributions import Bernoulli, Normal
from torch.distributions import kl_divergence as divergence


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_kl_is_that_of_torch_distributions() -> None:
    mean, log_variance = 3 * normal(7, 5), 2 * normal(7, 5, seed=1)
    expected = divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(kl_divergence(mean, log_variance), expected, rtol=1e-5, atol=1e-5)
    assert kl_divergence(torch.zeros(1, 3), torch.zeros(1, 3)).eq(0).all()


def test_log_likelihoods_are_those_of_torch_distributions() -> None:
    activations = 5 * normal(4, 2, 3, 3)
    binary = (normal(4, 2, 3, 3, seed=1) > 0).float()
    expected = Bernoulli(logits=activations).log_prob(binary).sum((1, 2, 3))
    torch.testing.assert_close(bernoulli_log_likelihood(activations, binary), expected)
    images = normal(4, 2, 3, 3, seed=2)
    for variance in (0.01, 1.0, 7.0):
        expected = Normal(activations, math.sqrt(variance)).log_prob(images).sum((1, 2, 3))
        found = gaussian_log_likelihood(activations, images, torch.tensor(variance).log())
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)


def test_a_grey_pixel_counts_as_its_expectation() -> None:
    activations, grey = normal(1, 1, 1, 1), 0.3
    one, zero, mixed = (bernoulli_log_likelihood(activations, torch.full((1, 1, 1, 1), x)) for x in (1.0, 0.0, grey))
    torch.testing.assert_close(mixed, grey * one + (1 - grey) * zero)


def test_log_weights_are_those_of_torch_distributions() -> None:
    mean, log_variance, noise = normal(6, 3), normal(6, 3, seed=1), normal(4, 6, 3, seed=2)
    posterior = Normal(mean, (0.5 * log_variance).exp())
    codes = mean + (0.5 * log_variance).exp() * noise
    fits = normal(4, 6, seed=3)
    expected = fits + (Normal(0.0, 1.0).log_prob(codes) - posterior.log_prob(codes)).sum(-1)
    torch.testing.assert_close(log_weights(fits, codes, noise, log_variance), expected, rtol=1e-5, atol=1e-5)


def test_the_importance_weighted_bound_is_the_log_of_a_mean() -> None:
    weights = normal(5, 3).double()
    torch.testing.assert_close(importance_weighted(weights), weights.exp().mean(0).log())
    assert torch.equal(importance_weighted(weights[:1]), weights[0])
    assert importance_weighted(torch.full((9, 1), -2000.0)) == pytest.approx(-2000)  # exp would be 0
    grown = [float(importance_weighted(weights.view(5, 3)[:k].expand(k, 3)).mean()) for k in (1, 5)]
    assert float(weights.mean()) <= grown[1]


def test_free_bits_hold_units_that_say_less() -> None:
    kl = torch.tensor([[0.0, 1.0, 4.0], [0.2, 3.0, 6.0]])  # means 0.1, 2, 5
    assert float(penalty(kl, 0.0)) == pytest.approx(7.1)
    assert float(penalty(kl, 0.5)) == pytest.approx(0.5 + 2 + 5)
    assert float(penalty(kl, 10.0)) == 30.0
    kl.requires_grad_()
    penalty(kl, 0.5).backward()  # type: ignore[no-untyped-call]
    assert kl.grad is not None
    assert torch.equal(kl.grad, torch.tensor([[0.0, 0.5, 0.5]] * 2))  # a unit below costs nothing


def test_a_unit_whose_mean_does_not_move_is_inactive() -> None:
    means = torch.stack([torch.zeros(1000), normal(1000), 0.05 * normal(1000, seed=1), torch.full((1000,), 9.0)], 1)
    activity = unit_activity(means)
    torch.testing.assert_close(activity, means.double().var(0, correction=0).float())
    assert (activity > 0.01).tolist() == [False, True, False, False]
