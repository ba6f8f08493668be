"""The options of augmentation, which every technique that trains has. Light."""

from __future__ import annotations

from dataclasses import dataclass

from dlkit.augment.policy import Policy
from dlkit.options.declare import Options, option


@dataclass(frozen=True, kw_only=True)
class AugmentOptions(Options):
    """Augmentation"""

    augment: Policy | None = option(
        None,
        'Vary the training images: augmenters with parameters ("rotate:15 flip noise:gaussian:0.05@0.5", where @ gives '
        "the probability), or a TOML file. `dlkit list augmenters` shows them.",
        bare="trivial",
        metavar="POLICY|FILE",
    )
    augment_copies: int | None = option(
        None,
        "Learn from so many augmented copies of each training image beside it, made once. By default images are "
        "augmented anew in each epoch; 4 copies where a technique looks at all images at once.",
        min=1,
        advanced=True,
    )
