"""Cards of policies. Light."""

from __future__ import annotations

from dlkit.augment import AugmenterCard, Parameter

_HOME = "dlkit_builtin.augmenters.policies"

POLICIES = (
    AugmenterCard(
        name="trivial",
        summary="TrivialAugment: one operation for each image, at any magnitude.",
        family="policies",
        implementation=f"{_HOME}:trivial",
        moves=True,
        policy=True,
        parameters=(
            Parameter(name="strength", help="The largest magnitude, as a share of the published one.", default=1.0,
                      min=0, max=1, strong=1.0),
        ),
        sources=("Müller and Hutter 2021, TrivialAugment: tuning-free yet state-of-the-art data augmentation",),
    ),
    AugmenterCard(
        name="rand",
        summary="RandAugment: several operations for each image, all at one magnitude.",
        family="policies",
        implementation=f"{_HOME}:rand",
        moves=True,
        policy=True,
        parameters=(
            Parameter(name="operations", help="How many, one after the other.", default=2, min=1, max=14, whole=True),
            Parameter(name="magnitude", help="How strong, of 30.", default=9, min=0, max=30, strong=30, whole=True),
        ),
        sources=("Cubuk et al. 2020, RandAugment: practical automated data augmentation with a reduced search space",),
    ),
)  # fmt: skip
