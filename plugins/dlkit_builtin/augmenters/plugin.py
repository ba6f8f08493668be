"""The cards of the built-in augmenters. Light."""

from __future__ import annotations

from collections.abc import Iterable

from dlkit.augment import AugmenterCard
from dlkit.hookspecs import hookimpl
from dlkit_builtin.augmenters.blur_cards import BLUR
from dlkit_builtin.augmenters.colour_cards import COLOUR
from dlkit_builtin.augmenters.condition_cards import CONDITIONS
from dlkit_builtin.augmenters.geometric_cards import GEOMETRIC
from dlkit_builtin.augmenters.noise_cards import NOISE
from dlkit_builtin.augmenters.occlusion_cards import OCCLUSION
from dlkit_builtin.augmenters.pair_cards import PAIRS
from dlkit_builtin.augmenters.policy_cards import POLICIES
from dlkit_builtin.augmenters.resolution_cards import RESOLUTION
from dlkit_builtin.augmenters.tone_cards import TONE

DLKIT_API = 1


@hookimpl
def dlkit_augmenters() -> Iterable[AugmenterCard]:
    """All of them, by family."""
    return [
        *GEOMETRIC,
        *NOISE,
        *BLUR,
        *COLOUR,
        *TONE,
        *OCCLUSION,
        *RESOLUTION,
        *CONDITIONS,
        *PAIRS,
        *POLICIES,
    ]
