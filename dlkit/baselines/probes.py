"""How much a feature tells about the class: nearest neighbours and a linear classifier, by scikit-learn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

Features = NDArray[np.float32]
Labels = NDArray[np.int64]

SMALL = 10_000_000
"""A linear probe on fewer values (images × features) is fitted by one thread."""


def knn_accuracy(train: Features, train_labels: Labels, test: Features, test_labels: Labels, k: int = 5) -> float:
    """Accuracy of k-nearest-neighbour classification by Euclidean distance.

    Args:
        train, test: ``(N, D)`` and ``(M, D)``.
        train_labels, test_labels: ``(N,)`` and ``(M,)``.
        k: neighbours; at most N.
    """
    return _accuracy(KNeighborsClassifier(min(k, len(train))), train, train_labels, test, test_labels)


def linear_probe_accuracy(train: Features, train_labels: Labels, test: Features, test_labels: Labels) -> float:
    """Accuracy of multinomial logistic regression on standardised features (L2, C = 1)."""
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
    # Threads that wait for each other make hundreds of small matrix products 2 to 12 times slower.
    with threadpool_limits(1 if train.size < SMALL else None, user_api="blas"):
        return _accuracy(probe, train, train_labels, test, test_labels)


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """95 % interval of a share observed in ``count`` trials (Wilson 1927)."""
    z = 1.959964
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    # At a share of 0 or 1 the bound is exactly that share; rounding must push it neither inside nor outside.
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def _accuracy(classifier: Any, train: Features, train_labels: Labels, test: Features, test_labels: Labels) -> float:
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    if len(np.unique(train_labels)) == 1:  # nothing to tell apart: every classifier says that one class
        return float((test_labels == train_labels[0]).mean())
    with warnings.catch_warnings():
        # A probe that stops at max_iter is still a probe, the same one for every feature that it compares.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The number of unique classes")  # many classes of one image: classes still
        return float(classifier.fit(train, train_labels).score(test, test_labels))
