"""How good a linear probe and nearest neighbours on features are, by cross-validation on training images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from dlkit.probes.folds import Fold
from dlkit.probes.linear import Values, outputs_of, solve
from dlkit.probes.targets import Floats, Ints, Targets

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Values of C that compete. Features of thousands of dimensions want strong penalties; beyond 1 nothing changes."""
_EPSILON = 1e-6


@dataclass(frozen=True)
class Estimate:
    """A figure by cross-validation.

    Attributes:
        scores: of each image, ``(N,)`` (see :meth:`.Targets.scores`), by models that never saw it.
        losses: log-loss (or squared error) of each image, ``(N,)``, weighted as in training, for a linear probe.
        C: the penalty's inverse strength, for a linear probe.
    """

    scores: Floats
    losses: Floats = field(default_factory=lambda: np.zeros(0))
    C: float = math.nan

    @property
    def loss(self) -> float:
        """The mean loss, by which the penalty was chosen."""
        return float(self.losses.mean())

    @property
    def value(self) -> float:
        """Accuracy, share of labels, or R²."""
        return float(self.scores.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, by the normal approximation over images, within [0, 1] for what cannot leave it."""
        return interval(self.scores)


def interval(scores: Floats) -> tuple[float, float]:
    """The mean's 95 % interval over images; Wilson's where scores are right or wrong."""
    from dlkit.baselines import wilson_interval

    mean = float(scores.mean())
    if np.isin(scores, (0.0, 1.0)).all():
        return wilson_interval(mean, len(scores))
    half = 1.96 * float(scores.std(ddof=1)) / math.sqrt(len(scores)) if len(scores) > 1 else math.inf
    return mean - half, mean + half


def linear_estimate(
    features: Values, targets: Targets, parts: Sequence[Fold], strengths: Sequence[float] = STRENGTHS
) -> Estimate:
    """The best linear probe over the penalties, chosen by the log-loss (squared error) on images left out.

    The scores are those of the chosen penalty: a choice among few, so their optimism is small beside the interval.

    Args:
        features: ``(N, D)``.
        targets: of the N images.
        parts: the folds.
        strengths: the values of C.
    """
    predicted = np.zeros((len(strengths), len(targets), targets.outputs))
    for train, test in parts:
        scaler = StandardScaler().fit(features[train])
        here, there = _compact(scaler.transform(features[train]), scaler.transform(features[test]))
        for number, strength in enumerate(strengths):
            weights, bias = solve(here, targets.subset(train), strength)
            predicted[number, test] = outputs_of(weights, bias, there, targets)
    losses = [_losses(outputs, targets) for outputs in predicted]
    best = int(np.argmin([values.mean() for values in losses]))
    return Estimate(targets.scores(predicted[best]), losses[best], strengths[best])


def _compact(here: Values, there: Values) -> tuple[Values, Values]:
    """The same features in as many dimensions as there are images.

    With an L2 penalty the weights lie in the span of the training images (the representer theorem), so an orthogonal
    basis of that span loses nothing, and the solver has N unknowns instead of D.
    """
    if here.shape[0] >= here.shape[1]:
        return here, there
    # The eigenvectors of the Gram matrix give the basis for a tenth of the time of a singular value decomposition.
    values, vectors = np.linalg.eigh(here @ here.T)
    kept = values > values[-1] * len(values) * np.finfo(values.dtype).eps
    basis = here.T @ (vectors[:, kept] / np.sqrt(values[kept]))
    return here @ basis, there @ basis


def _losses(outputs: NDArray[np.float64], targets: Targets) -> Floats:
    """Of each image, ``(N,)``."""
    if targets.kind == "number":
        return np.asarray(((outputs - targets.values) ** 2).mean(1))
    outputs = np.clip(outputs, _EPSILON, 1 - _EPSILON)
    weights = targets.weights()
    weights = np.ones(1) if weights is None else weights
    if targets.kind == "classes":
        return np.asarray(-np.log(outputs[np.arange(len(targets)), targets.values.astype(np.int64)]) * weights)
    return np.asarray((-np.where(targets.values >= 0.5, np.log(outputs), np.log(1 - outputs)) * weights).mean(1))


def knn_estimate(features: Values, targets: Targets, parts: Sequence[Fold], k: int = 5) -> Estimate:
    """k nearest neighbours by cosine distance of standardised features.

    Args:
        features: ``(N, D)``.
        targets: of the N images.
        parts: the folds.
        k: neighbours; at most the images of a fold.
    """
    predicted = np.zeros((len(targets), targets.outputs))
    with threadpool_limits(1, user_api="blas"):
        for train, test in parts:
            scaler = StandardScaler().fit(features[train])
            here, there = scaler.transform(features[train]), scaler.transform(features[test])
            predicted[test] = _neighbours(here, targets.subset(train), there, min(k, len(train)))
    return Estimate(targets.scores(predicted))


def _neighbours(here: Values, targets: Targets, there: Values, k: int) -> NDArray[np.float64]:
    if targets.kind != "classes":
        model = KNeighborsRegressor(k, metric="cosine", weights="uniform").fit(here, targets.values)
        return np.asarray(model.predict(there))
    model = KNeighborsClassifier(k, metric="cosine").fit(here, targets.values)
    found = np.zeros((len(there), targets.outputs))
    found[:, model.classes_] = model.predict_proba(there)
    return found


def learning_curve(
    features: Values, targets: Targets, C: float, parts: Sequence[Fold], shares: Sequence[float], seed: int  # noqa: N803
) -> list[tuple[float, float, float]]:  # fmt: skip
    """What a linear probe reaches with a share of the training images: (images, mean score, standard error).

    Args:
        features: ``(N, D)``.
        targets: of the N images.
        C: the penalty's inverse strength.
        parts: folds; each share of a fold's training images is drawn from them, in nested subsets.
        shares: in (0, 1].
        seed: of the order in which images join.
    """
    orders = [interleaved(targets.subset(train), seed) for train, _ in parts]
    rows = []
    for share in shares:
        scores = np.zeros(len(targets))
        used = []
        for (train, test), order in zip(parts, orders, strict=True):
            some = train[order[: max(2, round(share * len(train)))]]
            scaler = StandardScaler().fit(features[some])
            here, there = _compact(scaler.transform(features[some]), scaler.transform(features[test]))
            weights, bias = solve(here, targets.subset(some), C)
            scores[test] = targets.subset(test).scores(outputs_of(weights, bias, there, targets))
            used.append(len(some))
        rows.append((float(np.mean(used)), float(scores.mean()), float(scores.std(ddof=1)) / math.sqrt(len(scores))))
    return rows


def interleaved(targets: Targets, seed: int) -> Ints:
    """A random order in which the first images of every class come first, then the second ones…"""
    random = np.random.default_rng(seed)
    order = random.permutation(len(targets))
    strata = targets.strata()
    if strata is None:
        return order
    seen: dict[int, int] = {}
    rank = np.zeros(len(order), dtype=np.int64)
    for position, image in enumerate(order):
        stratum = int(strata[image])
        rank[position] = seen.get(stratum, 0)
        seen[stratum] = rank[position] + 1
    return order[np.argsort(rank, kind="stable")]
