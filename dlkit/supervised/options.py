"""How labels are learned from: options that every technique which minimises a supervised loss shares. Light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dlkit.options import LayerOptions, Options, TrainOptions, option


@dataclass(frozen=True, kw_only=True)
class SupervisedOptions(Options):
    """Labels"""

    label_smoothing: float = option(
        0.0, "Share of the target that is spread evenly over the classes (Szegedy et al. 2016, section 7).",
        min=0, max=0.99, group="Labels",
    )  # fmt: skip
    mixup: float = option(
        0.0, "Learn from mixtures of two images: alpha of the Beta distribution (Zhang et al. 2018 take 0.1 to 0.4 on "
        "photos, 1 on small images); 0: off.", min=0, group="Labels",
    )  # fmt: skip
    class_weights: Literal["none", "balanced"] = option(
        "none", "Weight of each class in the loss; balanced: the rarer, the heavier.", group="Labels"
    )
    sampling: Literal["shuffled", "balanced"] = option(
        "shuffled", "Each image once per epoch, or each class equally often (drawn with replacement).", group="Labels"
    )


@dataclass(frozen=True, kw_only=True)
class ScratchOptions(TrainOptions, SupervisedOptions, LayerOptions):
    """A network of one's own that learns from labels: :func:`dlkit.supervised.training.fit_labels`."""
