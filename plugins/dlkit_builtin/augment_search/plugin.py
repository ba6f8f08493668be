"""Registers the search for augmentations."""

from __future__ import annotations

from collections.abc import Iterable

from dlkit.card import Card, Trial
from dlkit.hookspecs import hookimpl
from dlkit_builtin.augment_search.options import AugmentSearchOptions

DLKIT_API = 1

AUGMENT_SEARCH = Card(
    name="augment-search",
    summary="Find out which augmentations help on this data, and which hurt.",
    description="""\
A network is trained many times, without augmentation and with one augmenter at a time, each time tested on a part of
the training images that it did not see. What looks good is trained again with other seeds and tested on other parts
(successive halving); the best augmenters are tried at other strengths, and then together. Each has its gain over no
augmentation, seed by seed, with a 95 % interval, so one can see which help, which hurt, and which make no difference.

The policy that was found is then compared on the held-out images, which the search never saw, with no augmentation,
the usual one (mirroring and jittered crops) and TrivialAugment. `dlkit export` writes it as a file that --augment
takes.""",
    sources=(
        "Jamieson and Talwalkar 2016, Non-stochastic best arm identification and hyperparameter optimization",
        "Cubuk et al. 2020, RandAugment: practical automated data augmentation with a reduced search space",
        "Mueller and Hutter 2021, TrivialAugment: tuning-free yet state-of-the-art data augmentation",
    ),
    task="classification",
    options=AugmentSearchOptions,
    implementation="dlkit_builtin.augment_search.technique:AugmentSearch",
    capabilities=lambda _: frozenset({"classify"}),
    augments=lambda _: "never",
    needs_labels=True,
    image_form="dlkit_builtin.augment_search.learner:image_form",
    examples=(
        "dlkit train augment-search --data photos",
        "dlkit train augment-search --data photos --backbone mobilenetv3_small_100 --budget 1h",
        "dlkit export latest --out policy.toml",
        "dlkit train classifier --data photos --augment policy.toml",
    ),
    trial=Trial(
        needs={"augmenters": ("flip", "rotate"), "epochs": 2, "search_seeds": 2, "final_seeds": 1},
        exceptions={
            "metrics_have_baselines:search_seconds": "a cost, which stands beside the accuracy that it buys",
        },
    ),
)


@hookimpl
def dlkit_techniques() -> Iterable[Card]:
    """One technique."""
    return [AUGMENT_SEARCH]
