"""Cross-validation: folds that have the classes alike, and predictions by models that never saw the image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold, StratifiedKFold

from dlkit.probes.targets import Ints, Targets

Fold = tuple[Ints, Ints]
"""Images to fit on, images to predict; positions in ``range(N)``."""

Fit = Callable[[Ints], Callable[[Ints], NDArray[np.floating[Any]]]]
"""``fit(training images)`` gives ``predict(images)`` → outputs ``(n, K)``."""


def folds(targets: Targets, count: int, seed: int) -> list[Fold]:
    """``count`` folds, stratified where the targets have strata; fewer where there are fewer images.

    A class with fewer images than folds is missing from some of them, as it must be.
    """
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


def out_of_fold(fit: Fit, parts: Sequence[Fold], count: int, outputs: int) -> NDArray[np.float64]:
    """What models that never saw an image predict for it, ``(N, K)``."""
    found = np.zeros((count, outputs))
    for train, test in parts:
        found[test] = fit(train)(test)
    return found
