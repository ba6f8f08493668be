"""Features in two dimensions, for people to look at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

COMPONENTS = 50
"""Of the PCA before t-SNE, as van der Maaten and Hinton 2008 do it (section 4.2: 30)."""
FEWEST = 30
"""With fewer images than this, PCA alone."""


def in_the_plane(features: NDArray[np.float32], seed: int) -> tuple[NDArray[np.float32], str]:
    """Features ``(N, D)`` → points ``(N, 2)``, and the name of the method: t-SNE after PCA, or PCA.

    Repeats from the seed, on one thread: others that wait for each other make it ten times slower.
    """
    values = features.astype(np.float32)
    values = values[:, values.std(0) > 0]  # a constant says nothing
    if values.shape[1] < 2:
        values = np.pad(values, ((0, 0), (0, 2 - values.shape[1])))
    most = min(*values.shape, COMPONENTS if len(values) >= FEWEST else 2)
    with threadpool_limits(1):
        reduced = PCA(most, random_state=seed).fit_transform(values)
        if len(values) < FEWEST:
            return np.asarray(reduced[:, :2], dtype=np.float32), "PCA"
        perplexity = min(30.0, (len(values) - 1) / 3)
        plane = TSNE(perplexity=perplexity, max_iter=350, init="pca", random_state=seed).fit_transform(reduced)
    return np.asarray(plane, dtype=np.float32), "t-SNE"
