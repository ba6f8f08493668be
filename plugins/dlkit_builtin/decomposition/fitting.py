"""Fits of scikit-learn, at once or in batches → the arrays of a :class:`.models.Model`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.decomposition import (
    NMF,
    PCA,
    FastICA,
    IncrementalPCA,
    MiniBatchDictionaryLearning,
    MiniBatchNMF,
    TruncatedSVD,
)
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from dlkit_builtin.decomposition.rows import Rows, TrainingRows

WHOLE = {"pca": 50e6, "svd": 50e6, "ica": 50e6, "nmf": 5e6, "kmeans": 10e6, "sparse": 0}
"""Up to so many values (images × values of an image) ``--fit auto`` learns from all at once: 400 MB in float64 for what
is exact, seconds for what is iterated. Sparse coding is learned online (Mairal et al. 2009)."""
ITERATIONS = {"ica": (400, 400), "nmf": (1000, 10), "kmeans": (300, 10), "sparse": (20, 5)}
"""Default iterations at once, and passes in batches."""
EIGH = 4_000
"""Up to so many values of an image a D × D matrix is decomposed rather than the images."""
SPARE = 32
"""Incremental PCA carries so many components more than asked for, as what it cuts off it cannot take back."""
ICA_VALUES = 50_000_000
"""ICA in batches rotates so many whitened values at most."""
FULL_RANK = 1e-6


@dataclass(frozen=True)
class Task:
    """What is to be fitted.

    Attributes:
        method: of :data:`.options.Method`.
        code: K.
        alpha: of sparse coding.
        iterations: at most, or passes over batches.
        seed: of what is drawn.
    """

    method: str
    code: int
    alpha: float
    iterations: int
    seed: int


@dataclass(frozen=True)
class Fitted:
    """What was learned.

    Attributes:
        arrays: ``mean``, ``atoms`` and, of linear methods, ``analysis``.
        shares: of the variance that each component explains; of the sum of squares for SVD. Empty where components
            are not ordered.
        warnings: what the user should know.
    """

    arrays: dict[str, Rows]
    shares: tuple[float, ...] = ()
    warnings: tuple[str, ...] = field(default=())


class RankError(ValueError):
    """The images vary in fewer directions than components are wanted; the argument is how many."""


def takes_batches(rows: TrainingRows, method: str, fit: str) -> bool:
    """Whether ``--fit`` means mini-batches here."""
    if fit != "auto":
        return fit == "batches"
    return not rows.in_memory or rows.values > WHOLE[method]


def fit(rows: TrainingRows, task: Task, *, batches: bool) -> Fitted:
    """Learn.

    Raises:
        RankError: ICA of more components than there are.
    """
    fits: dict[str, Callable[[TrainingRows, Task, bool], Fitted]] = {
        "pca": _pca, "svd": _svd, "ica": _ica, "nmf": _nmf, "kmeans": _kmeans, "sparse": _sparse,
    }  # fmt: skip
    with warnings.catch_warnings(record=True) as caught, threadpool_limits(None):
        warnings.simplefilter("always")
        found = fits[task.method](rows, task, batches)
    if any(issubclass(each.category, ConvergenceWarning) for each in caught) and task.method in ("ica", "nmf"):
        text = f"{task.method} has not converged in {task.iterations} iterations; --iterations allows more."
        return Fitted(found.arrays, found.shares, (text,))
    return found


def _pca(rows: TrainingRows, task: Task, batches: bool) -> Fitted:
    """Pearson 1901; in batches Ross et al. 2008."""
    made = _incremental(rows, task.code) if batches else _exact(rows, task.code)
    atoms = made.components_[: task.code]
    return _linear(made.mean_, atoms, atoms, made.explained_variance_ratio_[: task.code])


def _exact(rows: TrainingRows, code: int) -> PCA:
    solver = "covariance_eigh" if rows.size <= min(EIGH, len(rows)) else "full"
    return PCA(code, svd_solver=solver).fit(rows.whole())


def _incremental(rows: TrainingRows, code: int, *, mirrored: bool = False) -> IncrementalPCA:
    kept = min(code + SPARE, rows.size, len(rows))
    made = IncrementalPCA(kept)
    for batch in rows.batches("Incremental PCA", least=2 * kept, dtype=np.float64):
        # The mean of images and their negatives is exactly 0, so that the components are those of X itself.
        made.partial_fit(np.concatenate([batch, -batch]) if mirrored else batch, check_input=False)
    return made


def _svd(rows: TrainingRows, task: Task, batches: bool) -> Fitted:
    """X ≈ U_k S_k V_kᵀ: the best approximation of rank k (Eckart and Young 1936)."""
    mean = np.zeros(rows.size)
    if batches:
        made: Any = _incremental(rows, task.code, mirrored=True)
        shares = made.explained_variance_ratio_[: task.code]
        return _linear(mean, made.components_[: task.code], made.components_[: task.code], shares)
    images = rows.whole()
    total = float(np.square(images).sum())
    if len(images) > rows.size:
        images = np.asarray(np.linalg.qr(images, mode="r"))  # X = QR has the V and S of R, which is D × D
    exact = "arpack" if task.code < min(images.shape) else "randomized"  # which draws all there is then
    made = TruncatedSVD(task.code, algorithm=exact, random_state=task.seed).fit(images)
    return _linear(mean, made.components_, made.components_, np.square(made.singular_values_) / total)


def _ica(rows: TrainingRows, task: Task, batches: bool) -> Fitted:
    """FastICA (Hyvärinen and Oja 2000): PCA whitens, a rotation makes the whitened values independent."""
    pca = _incremental(rows, task.code) if batches else _exact(rows, task.code)
    spread = np.sqrt(pca.explained_variance_[: task.code])
    _check_rank(spread, task.code)
    whiten = pca.components_[: task.code] / spread[:, None]
    white = np.concatenate([(batch - pca.mean_) @ whiten.T for batch in rows.batches("Whitening", dtype=np.float64)])
    every = -(-white.size // ICA_VALUES)
    made = FastICA(whiten=False, max_iter=task.iterations, random_state=task.seed).fit(white[::every])
    # Of a rotation the transpose is the inverse, so nothing has to be inverted.
    mixing = made.components_ @ (pca.components_[: task.code] * spread[:, None])
    return _linear(pca.mean_, mixing, made.components_ @ whiten)


def _check_rank(spread: Rows, code: int) -> None:
    rank = int((spread > FULL_RANK * max(spread[0], 1e-12)).sum())
    if rank < code:
        raise RankError(rank)


def _nmf(rows: TrainingRows, task: Task, batches: bool) -> Fitted:
    """Lee and Seung 1999; coordinate descent (Cichocki and Phan 2009), in batches Lefèvre et al. 2011."""
    if batches:
        size = rows.batch_size(2 * task.code)
        made: Any = MiniBatchNMF(task.code, batch_size=size, random_state=task.seed)
        for batch in rows.batches("Mini-batch NMF", passes=task.iterations, least=2 * task.code):
            made.partial_fit(batch)
    else:
        made = NMF(task.code, init="nndsvda", max_iter=task.iterations, random_state=task.seed)
        made.fit(rows.whole(np.float32))
    parts = made.components_
    length = np.linalg.norm(parts, axis=1, keepdims=True)
    return Fitted({"mean": np.zeros(rows.size), "atoms": parts / np.where(length > 0, length, 1)})


def _kmeans(rows: TrainingRows, task: Task, batches: bool) -> Fitted:
    """Lloyd 1982 with k-means++ (Arthur and Vassilvitskii 2007); in batches Sculley 2010."""
    if batches:
        made: Any = MiniBatchKMeans(task.code, n_init=3, random_state=task.seed)
        for batch in rows.batches("Mini-batch k-means", passes=task.iterations, least=3 * task.code):
            made.partial_fit(batch)
        mean = np.average(made.cluster_centers_, axis=0, weights=np.maximum(made.counts_, 1e-9))
    else:
        images = rows.whole(np.float32)
        made = KMeans(task.code, n_init=10, max_iter=task.iterations, random_state=task.seed).fit(images)
        mean = images.mean(0)
    return Fitted({"mean": mean, "atoms": made.cluster_centers_})


def _sparse(rows: TrainingRows, task: Task, batches: bool) -> Fitted:
    """Dictionary learning (Mairal et al. 2009) of images without their mean."""
    from sklearn.decomposition import DictionaryLearning

    given = {"alpha": task.alpha, "fit_algorithm": "cd", "random_state": task.seed}
    if not batches:
        images = rows.whole(np.float32)
        mean = images.mean(0)
        made: Any = DictionaryLearning(task.code, max_iter=task.iterations, **given).fit(images - mean)
        return Fitted({"mean": mean, "atoms": made.components_})
    mean = _mean(rows)
    made = MiniBatchDictionaryLearning(task.code, batch_size=min(256, len(rows)), **given)
    for batch in rows.batches("Dictionary learning", passes=task.iterations):
        for part in np.array_split(batch - mean, max(1, len(batch) // 256)):
            made.partial_fit(part)
    return Fitted({"mean": mean, "atoms": made.components_})


def _mean(rows: TrainingRows) -> Rows:
    total = np.zeros(rows.size)
    for batch in rows.batches("Mean image", dtype=np.float64):
        total += batch.sum(0)
    return (total / len(rows)).astype(np.float32)


def _linear(mean: Rows, atoms: Rows, analysis: Rows, shares: Any = ()) -> Fitted:
    return Fitted({"mean": mean, "atoms": atoms, "analysis": analysis}, tuple(float(share) for share in shares))
