"""``--mixup α``: the augmenter ``mixup`` as the last of a phase's augmentation, on images or on features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlkit.augment.policy import Policy, Step
from dlkit.augment.training import Augmentation

if TYPE_CHECKING:
    from dlkit.data import Split
    from dlkit.supervised.objective import Objective
    from dlkit.supervised.options import SupervisedOptions


def with_mixup(train: Split, options: SupervisedOptions, objective: Objective) -> Split:
    """A training split as ``--mixup`` has it learned from; the split itself where it says nothing.

    Args:
        train: labelled images, or features; what ``--augment`` does to them comes first.
        options: α.
        objective: what labels say; it learns from the distributions over classes that mixtures have.
    """
    if options.mixup == 0:
        return train
    before = train.augmentation
    if before is not None:
        before.used = True
    policy = Policy((*(before.policy.steps if before else ()), Step("mixup", (("alpha", options.mixup),))))
    return train.augmented(Augmentation(policy, objective.outputs if objective.target == "classes" else 0))
