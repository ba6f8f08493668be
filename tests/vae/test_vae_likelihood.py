"""The estimate of the likelihood where the likelihood is known, and the models that it is compared with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dlkit_builtin.vae.measuring import importance_weighted_nll, sample
from dlkit_builtin.vae.pixel_models import Pixels, ppca_log_likelihood
from torch.distributions import Bernoulli, Normal
from vae_models import linear_gaussian, runtime

from dlkit.data.data import Resident, Split


def split(images: torch.Tensor) -> Split:
    return Split("test", Resident(images.view(-1, 1, 2, 3)), None, None)


def test_the_estimate_converges_to_the_exact_likelihood() -> None:
    """A linear Gaussian VAE is probabilistic PCA, whose marginal is a normal distribution."""
    ours = runtime()
    _, marginal = linear_gaussian(1)
    images = marginal.sample((200,))
    exact = -float(marginal.log_prob(images).mean())
    estimates = []
    for samples in (1, 5, 50, 2000):
        found = importance_weighted_nll(linear_gaussian(samples)[0], split(images), ours)
        assert torch.equal(found.images.flatten(1), images)
        assert found.classes is None
        estimates.append(float(found.nll.mean()))
    assert estimates == sorted(estimates, reverse=True)  # tighter with each sample
    assert estimates[-1] == pytest.approx(exact, abs=0.01)
    assert estimates[0] > exact + 0.05
    elbo = float(sample(linear_gaussian(1)[0], split(images), ours).elbo.mean())
    assert elbo == pytest.approx(-estimates[0], abs=0.3)  # one sample is the ELBO, up to the draws


def test_with_the_exact_posterior_one_sample_is_enough() -> None:
    technique, marginal = linear_gaussian(1, loose=1.0)
    images = marginal.sample((50,))
    nll = importance_weighted_nll(technique, split(images), runtime()).nll
    torch.testing.assert_close(nll, -marginal.log_prob(images), rtol=1e-4, atol=1e-4)


def test_the_estimate_repeats() -> None:
    technique, marginal = linear_gaussian(5)
    images = split(marginal.sample((20,)))
    first, second = (importance_weighted_nll(technique, images, runtime()).nll for _ in range(2))
    assert torch.equal(first, second)


def test_independent_pixels_are_independent_pixels() -> None:
    torch.manual_seed(0)
    images, labels = (torch.rand(40, 1, 3, 3) < 0.4).float(), torch.arange(40) % 2
    others = (torch.rand(5, 1, 3, 3) < 0.6).float()
    share = (images.sum(0) + 1) / 42
    found = Pixels(images, None, gaussian=False).log_likelihood(others, None)
    torch.testing.assert_close(found, Bernoulli(share).log_prob(others).flatten(1).sum(1))
    told = Pixels(images, labels, gaussian=False).log_likelihood(others, torch.tensor([0, 1, 1, 0, 7]))
    for label, places in ((0, [0, 3]), (1, [1, 2])):
        own = (images[labels == label].sum(0) + 1) / 22
        torch.testing.assert_close(told[places], Bernoulli(own).log_prob(others[places]).flatten(1).sum(1))
    torch.testing.assert_close(told[4], found[4])  # a class that was not seen: all images

    grey = torch.rand(40, 1, 3, 3)
    grey[:, 0, 0, 0] = 0.5  # never varies
    deviation = grey.std(0, correction=0).clamp_min(1 / 255)
    found = Pixels(grey, None, gaussian=True).log_likelihood(grey[:5], None)
    torch.testing.assert_close(found, Normal(grey.mean(0), deviation).log_prob(grey[:5]).flatten(1).sum(1))


def test_probabilistic_pca_has_the_likelihood_of_its_normal_distribution() -> None:
    random = np.random.default_rng(0)
    train = torch.from_numpy(random.normal(size=(300, 1, 2, 3)) * np.arange(1, 7).reshape(2, 3)).float()
    found = ppca_log_likelihood(train, 2, train[:9])
    flat = train.flatten(1).double()
    values, vectors = torch.linalg.eigh(flat.T.cov())
    noise = values[:4].mean()  # Tipping and Bishop 1999, equations 7 and 8
    covariance = vectors[:, 4:] @ (values[4:] - noise).diag() @ vectors[:, 4:].T + noise * torch.eye(6)
    expected = torch.distributions.MultivariateNormal(flat.mean(0), covariance).log_prob(flat[:9])
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-4)
