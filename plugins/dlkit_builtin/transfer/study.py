"""The frozen backbone's features of the labelled training images, and what simple models make of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import nn

from dlkit.backbones import Tap
from dlkit.features import Features, extract, side_by_side
from dlkit.probes.estimates import STRENGTHS, Estimate, knn_estimate, linear_estimate
from dlkit.probes.folds import Fold, folds
from dlkit.probes.linear import fit_linear
from dlkit.probes.targets import Ints, Targets, targets_of

if TYPE_CHECKING:
    from dlkit.backbones import Backbone
    from dlkit.data import ImageData
    from dlkit.runtime import Runtime
    from dlkit_builtin.transfer.options import TransferOptions

FOLDS = 5

Taps = tuple[Tap, ...]


@dataclass
class Study:
    """Estimates by cross-validation, each made once. Nothing here looks at images outside the training split.

    Attributes:
        features: of the N labelled training images, for each tap.
        targets: of these images.
        known: which images of the training split they are.
        parts: the folds.
        strengths: values of C that a probe may have.
    """

    features: Features
    targets: Targets
    known: Ints
    parts: Sequence[Fold]
    strengths: Sequence[float] = STRENGTHS
    _probes: dict[Taps, Estimate] = field(default_factory=dict)
    _neighbours: dict[Tap, Estimate] = field(default_factory=dict)

    def joined(self, taps: Taps) -> NDArray[np.float32]:
        """Features of several taps side by side, ``(N, D)``."""
        return side_by_side(self.features, taps)

    def probe(self, taps: Taps) -> Estimate:
        """A linear probe on these features."""
        if taps not in self._probes:
            self._probes[taps] = linear_estimate(self.joined(taps), self.targets, self.parts, self.strengths)
        return self._probes[taps]

    def neighbours(self, tap: Tap) -> Estimate:
        """Nearest neighbours by these features."""
        if tap not in self._neighbours:
            self._neighbours[tap] = knn_estimate(self.features[tap], self.targets, self.parts)
        return self._neighbours[tap]

    def head(self, taps: Taps, images: Ints | None = None) -> nn.Linear:
        """A linear probe on these features, fitted on all images or some (positions in ``range(N)``)."""
        # One value of C leaves nothing to choose.
        strength = self.strengths[0] if len(self.strengths) == 1 else self.probe(taps).C
        if images is None:
            return fit_linear(self.joined(taps), self.targets, strength)
        return fit_linear(self.joined(taps)[images], self.targets.subset(images), strength)


def study(
    backbone: Backbone, taps: Sequence[Tap], data: ImageData, runtime: Runtime, options: TransferOptions
) -> Study:
    """Extract the training images' features at ``taps``."""
    # A probe that sees all images at once balances the classes by weights, whichever way was asked for.
    balanced = "balanced" in (options.class_weights, options.sampling)
    targets, known = targets_of(data.train, data.spec, balanced=balanced)
    features = extract(backbone, data.train, taps, runtime, options)
    return Study(
        features={tap: values[known] for tap, values in features.items()},
        targets=targets,
        known=known,
        parts=folds(targets, FOLDS, runtime.derive("folds") % 2**32),
        strengths=STRENGTHS if options.probe_c is None else (options.probe_c,),
    )
