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

from dlkit_builtin.decomposition.rows import Rows, TrainingRows

WHOLE = {"pca": 50e6, "svd": 50e6, "ica": 50e6, "nmf": 5e6, "kmeans": 10e6, "sparse": 0}
"""Up to so many values (images × values of an image) ``--fit auto`` learns from all at once: 400 MB in float64 for what
is exact, seconds for what is iterated. Sparse coding is learned online (Mairal et al. 2009)."""
ITERATIONS = {"ica": (400, 400), "nmf": (1000, 10), "kmeans": (300, 10), "sparse": (20, 5)}
"""Default iterations at once, and passes in batches."""
NMF_IMAGES = 100_000
"""Mini-batch NMF sees at least so many images: each update moves the parts a little only."""
EIGH = 4_000
"""Up to so many values of an image a D × D matrix is decomposed rather than the images."""
SPARE = 32
"""Incremental PCA carries so many components more than asked for, as what it cuts off it cannot take back."""
ICA_VALUES = 50_000_000
"""ICA in batches rotates so many whitened values at most."""
SMALL_BATCH = 256
"""Images of an update, where more updates are better than larger ones."""
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


def default_iterations(method: str, batches: bool, images: int) -> int:
    """Where ``--iterations`` does not say."""
    usual = ITERATIONS.get(method, (1, 1))[batches]
    return max(usual, NMF_IMAGES // images) if method == "nmf" and batches else usual


def fit(rows: TrainingRows, task: Task, *, batches: bool) -> Fitted:
    """Learn.

    Raises:
        RankError: ICA of more components than there are.
    """
    fits: dict[str, Callable[[TrainingRows, Task, bool], Fitted]] = {
        "pca": _pca, "svd": _svd, "ica": _ica, "nmf": _nmf, "kmeans": _kmeans, "sparse": _sparse,
    }  # fmt: skip
    with warnings.catch_warnings(record=True) as caught:
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
    for batch in rows.batches("Incremental PCA", size=rows.large_batch(2 * kept), dtype=np.float64):
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
    total = max(float(np.square(images).sum()), 1e-12)
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
    parts = rows.batches("Whitening", size=rows.large_batch(), dtype=np.float64)
    every = -(-len(rows) * task.code // ICA_VALUES)
    white = np.concatenate([(part[::every] - pca.mean_) @ whiten.T for part in parts])
    made = FastICA(whiten=False, max_iter=task.iterations, random_state=task.seed).fit(white)
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
        size = max(SMALL_BATCH, 2 * task.code)
        made: Any = MiniBatchNMF(task.code, batch_size=min(size, len(rows)), random_state=task.seed)
        for batch in rows.batches("Mini-batch NMF", size=size, passes=task.iterations):
            made.partial_fit(batch)
    else:
        made = NMF(task.code, max_iter=task.iterations, random_state=task.seed)
        made.fit(rows.whole(np.float32))
    parts = made.components_
    length = np.linalg.norm(parts, axis=1, keepdims=True)
    return Fitted({"mean": np.zeros(rows.size), "atoms": parts / np.where(length > 0, length, 1)})


def _kmeans(rows: TrainingRows, task: Task, batches: bool) -> Fitted:
    """Lloyd 1982 with k-means++ (Arthur and Vassilvitskii 2007); in batches Sculley 2010."""
    if batches:
        made: Any = MiniBatchKMeans(task.code, n_init=3, random_state=task.seed)
        size = max(4 * SMALL_BATCH, 3 * task.code)
        for batch in rows.batches("Mini-batch k-means", size=size, passes=task.iterations):
            made.partial_fit(batch)
        mean = made.cluster_centers_.mean(0)  # any point among them will do
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
    made = MiniBatchDictionaryLearning(task.code, batch_size=min(SMALL_BATCH, len(rows)), **given)
    for batch in rows.batches("Dictionary learning", size=SMALL_BATCH, passes=task.iterations):
        made.partial_fit(batch - mean)
    return Fitted({"mean": mean, "atoms": made.components_})


def _mean(rows: TrainingRows) -> Rows:
    total = np.zeros(rows.size)
    for batch in rows.batches("Mean image", size=rows.large_batch(), dtype=np.float64):
        total += batch.sum(0)
    return (total / len(rows)).astype(np.float32)


def _linear(mean: Rows, atoms: Rows, analysis: Rows, shares: Any = ()) -> Fitted:
    known = np.nan_to_num(np.asarray(shares, dtype=np.float64))  # 0 / 0 where all images are alike
    return Fitted({"mean": mean, "atoms": atoms, "analysis": analysis}, tuple(known.tolist()))
