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
    AugmenterCard(
        name="auto",
        summary="AutoAugment: one of 25 learned pairs of operations for each image.",
        family="policies",
        implementation=f"{_HOME}:auto",
        moves=True,
        policy=True,
        parameters=(
            Parameter(name="learned", help="The data on which it was learned.", default="imagenet",
                      choices=("imagenet", "cifar10", "svhn")),
        ),
        sources=("Cubuk et al. 2019, AutoAugment: learning augmentation strategies from data",),
    ),
    AugmenterCard(
        name="augmix",
        summary="AugMix: the image blended with chains of operations.",
        family="policies",
        implementation=f"{_HOME}:augmix",
        policy=True,
        parameters=(
            Parameter(name="severity", help="Magnitudes lie below it, of 10.", default=3, min=0, max=10, strong=10),
            Parameter(name="chains", help="How many are blended.", default=3, min=1, max=8, whole=True),
            Parameter(name="alpha", help="Of the Beta and Dirichlet distributions of the shares.", default=1.0,
                      min=0.05, max=100),
        ),
        sources=("Hendrycks et al. 2020, AugMix: a simple data processing method to improve robustness",),
    ),
)  # fmt: skip
