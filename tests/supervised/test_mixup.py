"""mixup: the distribution of shares, the mixtures, and the loss of a mixture."""

from __future__ import annotations

import torch
from scipy import stats
from torch.nn import functional as F

from dlkit.supervised.mixup import mix


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_shares_are_beta_distributed() -> None:
    for alpha in (0.2, 1.0):
        generator = rng()
        images, targets = torch.zeros(2, 1, 1, 1), torch.zeros(2, dtype=torch.int64)
        shares = [float(mix(images, targets, alpha, generator).share) for _ in range(2000)]
        assert stats.kstest(shares, stats.beta(alpha, alpha).cdf).pvalue > 0.01


def test_mixtures_are_of_the_images_whose_targets_are_given() -> None:
    targets = torch.arange(6)
    images = torch.rand(6, 3, 4, 4, generator=rng(1))
    mixed = mix(images, targets, 1.0, rng())
    expected = mixed.share * images + (1 - mixed.share) * images[mixed.partners]
    torch.testing.assert_close(mixed.images, expected)
    assert sorted(mixed.partners.tolist()) == targets.tolist()


def test_the_loss_is_cross_entropy_with_the_mixed_target() -> None:
    logits, targets = torch.randn(6, 4, generator=rng(1)), torch.tensor([0, 1, 2, 3, 0, 1])
    mixed = mix(torch.zeros(6, 1, 2, 2), targets, 1.0, rng(3))
    soft = mixed.share * F.one_hot(targets, 4) + (1 - mixed.share) * F.one_hot(mixed.partners, 4)
    ours = mixed.loss(F.cross_entropy, logits, mixed.targets, mixed.partners)
    torch.testing.assert_close(ours, F.cross_entropy(logits, soft))


def test_the_same_generator_gives_the_same_mixtures() -> None:
    images, targets = torch.rand(5, 1, 2, 2, generator=rng(1)), torch.arange(5)
    assert torch.equal(mix(images, targets, 0.4, rng(2)).images, mix(images, targets, 0.4, rng(2)).images)
