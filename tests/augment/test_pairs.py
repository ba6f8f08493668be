"""mixup and CutMix: the distribution of shares, the mixtures, and labels that go with them."""

from __future__ import annotations

import pytest
import torch
from dlkit_builtin.augmenters.pairs import beta, partners
from scipy import stats
from torch import Tensor
from torch.nn import functional as F

from dlkit.augment import Draws, Policy, Scenes, apply, sample_keys
from dlkit.errors import UsageError

CLASSES = 4


def draws(count: int, seed: int = 3) -> Draws:
    return Draws(sample_keys(seed, torch.arange(count)))


def flat_scenes(count: int = 200, height: int = 20, width: int = 30) -> Scenes:
    """Each image has one colour of its own, and the class of that image."""
    colours = torch.linspace(0, 1, count).reshape(-1, 1, 1, 1)
    labels = F.one_hot(torch.arange(count) % CLASSES, CLASSES).float()
    return Scenes(colours.expand(-1, 3, height, width).contiguous(), labels=labels)


def mixed(text: str, scenes: Scenes) -> tuple[Tensor, Tensor]:
    after = apply(Policy.parse(text), scenes, draws(len(scenes)))
    assert after.labels is not None
    return after.images, after.labels


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_shares_are_beta_distributed(alpha: float) -> None:
    shares = beta(draws(3000), torch.full((3000,), alpha))
    assert stats.kstest(shares.double().numpy(), stats.beta(alpha, alpha).cdf).pvalue > 0.01


def test_partners_are_a_permutation_without_fixed_points() -> None:
    found = partners(draws(50))
    assert sorted(found.tolist()) == list(range(50))
    assert (found != torch.arange(50)).all()
    assert partners(draws(1)).tolist() == [0]


@pytest.mark.parametrize("text", ["mixup:0.4", "cutmix", "cutmix:0.3@0.5", "mixup@0.5"])
def test_labels_are_distributions(text: str) -> None:
    _, labels = mixed(text, flat_scenes())
    assert (labels >= 0).all()
    torch.testing.assert_close(labels.sum(1), torch.ones(200))
    assert ((labels > 0.01) & (labels < 0.99)).any()


def test_mixtures_are_what_their_labels_say() -> None:
    """With the colour as label: what is mixed linearly has the label's colour."""
    scenes = flat_scenes()
    scenes = Scenes(scenes.images, labels=scenes.images[:, :1, 0, 0])
    images, labels = mixed("mixup:1", scenes)
    torch.testing.assert_close(images, labels[:, :, None, None].expand_as(images))
    images, labels = mixed("cutmix", scenes)
    torch.testing.assert_close(images.mean((2, 3))[:, :1], labels)
    for image, own in zip(images[:, 0], scenes.images[:, 0, 0, 0], strict=True):
        pasted = image != own
        rows, columns = pasted.any(1), pasted.any(0)
        assert pasted.sum() == rows.sum() * columns.sum()  # a box
        assert len(image[pasted].unique()) <= 1


def test_masks_are_cut_alike() -> None:
    scenes = flat_scenes(60)
    masks = (scenes.images[:, :1] * 1000).round().long()
    after = apply(Policy.parse("cutmix"), Scenes(scenes.images, masks), draws(60))
    assert after.masks is not None
    assert torch.equal(after.masks, (after.images[:, :1] * 1000).round().long())
    with pytest.raises(UsageError, match="mixup cannot mix masks"):
        apply(Policy.parse("mixup"), Scenes(scenes.images, masks), draws(60))
