"""``--mixup``: the augmenter at the end of a phase's augmentation, and the loss of its mixtures."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from dlkit.augment import Policy, sample_keys
from dlkit.augment.training import Augmentation, augmented_batch
from dlkit.data import Split
from dlkit.data.data import Resident
from dlkit.data.spec import DataSpec
from dlkit.runtime import Batch
from dlkit.supervised.mixup import with_mixup
from dlkit.supervised.objective import Objective
from dlkit.supervised.options import SupervisedOptions

IMAGES = torch.rand(12, 1, 4, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(12) % 3


def objective(**options: Any) -> Objective:
    spec = DataSpec(source="x", name="x", channels=1, height=4, width=4, classes=("a", "b", "c"))
    made = Objective(spec, SupervisedOptions(**options))
    made.learn(split())
    return made


def split(augmentation: Augmentation | None = None) -> Split:
    return Split("train", Resident(IMAGES), LABELS, None, augmentation=augmentation)


def test_mixup_comes_after_other_augmentation() -> None:
    train, made = split(), objective(mixup=0.4)
    assert with_mixup(train, SupervisedOptions(), made) is train
    mixed = with_mixup(train, made.options, made).augmentation
    assert mixed == Augmentation(Policy.parse("mixup:0.4"), 3)
    before = Augmentation(Policy.parse("flip"), 3)
    after = with_mixup(split(before), made.options, made).augmentation
    assert after is not None
    assert after.policy == Policy.parse("flip mixup:0.4")
    assert before.used


def test_the_loss_is_that_of_both_labels_by_their_shares() -> None:
    """λ L(f(x̃), y_i) + (1 − λ) L(f(x̃), y_j), with class weights and label smoothing."""
    made = objective(mixup=1.0, class_weights="none", label_smoothing=0.1)
    made.weights.copy_(torch.tensor([1.0, 2.0, 0.5]))
    augmentation = with_mixup(split(), made.options, made).augmentation
    assert augmentation is not None
    batch = Batch(IMAGES, LABELS, torch.arange(12))
    targets = made.targets(augmented_batch(batch, sample_keys(1, torch.arange(12)), augmentation))
    torch.testing.assert_close(targets.sum(1), torch.ones(12))
    assert (targets.amax(1) < 1).any()
    logits = torch.randn(12, 3, generator=torch.Generator().manual_seed(1))
    each = torch.stack([F.cross_entropy(logits, torch.full((12,), k), reduction="none", label_smoothing=0.1)
                        for k in range(3)], 1)  # fmt: skip
    torch.testing.assert_close(made.loss(logits, targets), (targets * made.weights * each).sum(1).mean())
