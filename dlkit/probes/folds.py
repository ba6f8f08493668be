"""Cross-validation: folds that have the classes alike."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold

from dlkit.probes.targets import Ints, Targets

Fold = tuple[Ints, Ints]
"""Images to fit on, images to predict; positions in ``range(N)``."""


def folds(targets: Targets, count: int, seed: int) -> list[Fold]:
    """``count`` folds, stratified where the targets have strata; fewer where there are fewer images.

    A class with fewer images than folds is missing from some of them, as it must be. Copies of an image are in the
    same fold as the image: what was fitted on one must not be tested on another.
    """
    if targets.sources is not None:
        return _with_copies(targets, targets.sources, count, seed)
    import warnings

    count = max(2, min(count, len(targets)))
    strata = targets.strata()
    rows = np.zeros(len(targets))
    if strata is None or np.bincount(strata).max() < count:
        splitter: Any = KFold(count, shuffle=True, random_state=seed)
        return [(train, test) for train, test in splitter.split(rows)]
    splitter = StratifiedKFold(count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that some class has fewer images than folds
        return [(train, test) for train, test in splitter.split(rows, strata)]


def _with_copies(targets: Targets, sources: Ints, count: int, seed: int) -> list[Fold]:
    """Folds of the images, and with each image its copies."""
    _, first, image = np.unique(sources, return_index=True, return_inverse=True)
    alone = dataclasses.replace(targets.subset(first), sources=None)
    chosen = [np.isin(image, test) for _, test in folds(alone, count, seed)]
    return [(np.flatnonzero(~tested), np.flatnonzero(tested)) for tested in chosen]
