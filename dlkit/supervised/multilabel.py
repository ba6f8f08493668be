"""Figures of a model that says for each label whether an image has it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dlkit.baselines import wilson_interval
from dlkit.metrics import Metric, Row, Table
from dlkit.supervised.bootstrap import Floats, Weights, intervals
from dlkit.supervised.pixels import NEIGHBOURS, nearest

if TYPE_CHECKING:
    from dlkit.data import ImageData, Split
    from dlkit.runtime import Runtime

THRESHOLD = 0.5
"""Probability from which on an image is said to have a label."""
_WORK = 50_000_000
"""Images × labels × resamples of the interval of mAP, at most (about half a second)."""


@dataclass(frozen=True)
class Scored:
    """Scores and truth of the labelled held-out images: ``rows`` (N,) of the split, both others float64 (N, K)."""

    rows: NDArray[np.int64]
    scores: Floats
    truth: Floats


def scored(outputs: Tensor, data: ImageData) -> Scored | None:
    """Outputs ``(N, K)`` of ``data.held_out`` matched with its targets; None where no image has any.

    Raises:
        ValueError: outputs of another shape than the targets.
    """
    targets = data.held_out.targets
    if targets is None:
        return None
    if outputs.shape != targets.shape:
        raise ValueError(f"outputs of shape {tuple(outputs.shape)} for targets of shape {tuple(targets.shape)}")
    known = complete(data.held_out)
    if not known.any():
        return None
    return Scored(np.flatnonzero(known), outputs.double().numpy()[known], targets.double().numpy()[known])


def complete(split: Split) -> NDArray[np.bool_]:
    """Which images of a split have all their targets, ``(N,)``."""
    if split.targets is None:
        return np.zeros(len(split), dtype=np.bool_)
    return np.asarray(~np.isnan(split.targets.numpy()).any(1))


def multilabel_metrics(outputs: Tensor, data: ImageData, runtime: Runtime) -> list[Metric]:
    """Figures of label probabilities on the held-out images, beside the labels' frequencies and kNN on pixels.

    Args:
        outputs: float32 ``(N, K)`` on the CPU, one row for each image of ``data.held_out``, in order.
        data: baselines are fitted on ``data.train``.
        runtime: seeds the bootstrap.

    Returns:
        ``map`` (mean average precision over the labels that some image has), ``micro_f1`` and ``macro_f1`` at 0.5,
        ``subset_accuracy`` (all labels of an image right); nothing where no held-out image has labels.
    """
    found = scored(outputs, data)
    if found is None:
        return []
    others = _baselines(found, data)
    count, labels = found.truth.shape
    resamples = int(np.clip(_WORK // (count * labels), 100, 1000))
    seed = runtime.derive("multi-label figures")
    spread = intervals(_statistics(found.scores, found.truth), count, seed, resamples)
    own = _values(found.scores, found.truth)
    beside = {name: _values(scores, found.truth) for name, scores in others.items()}
    spread["subset_accuracy"] = wilson_interval(own["subset_accuracy"], count)
    return [
        Metric(
            name=name, label=label, value=own[name], split=data.held_out.name, better="higher",
            interval=spread[name], baselines={other: values[name] for other, values in beside.items()}, note=note,
        )
        for name, label, note in (
            ("map", "mean average precision", f"{count:,} images"),
            ("micro_f1", "micro-F1 at 0.5", ""),
            ("macro_f1", "macro-F1 at 0.5", ""),
            ("subset_accuracy", "all labels right", ""),
        )
    ]  # fmt: skip


def _statistics(scores: Floats, truth: Floats) -> dict[str, Callable[[Weights], Floats]]:
    return {
        "map": partial(mean_average_precision, scores=scores, truth=truth),
        "micro_f1": lambda weights: _f1(weights, scores, truth, micro=True),
        "macro_f1": lambda weights: _f1(weights, scores, truth, micro=False),
    }


def _values(scores: Floats, truth: Floats) -> dict[str, float]:
    whole = np.ones((1, len(truth)))
    values = {name: float(statistic(whole)[0]) for name, statistic in _statistics(scores, truth).items()}
    return values | {"subset_accuracy": float(((scores >= THRESHOLD) == (truth > 0)).all(1).mean())}


def _f1(weights: Weights, scores: Floats, truth: Floats, *, micro: bool) -> Floats:
    """F1 = 2 TP / (2 TP + FP + FN) over all decisions, or its mean over labels that occur or are said, ``(R,)``."""
    said = (scores >= THRESHOLD).astype(np.float64)
    right, total = weights @ (said * truth), weights @ (said + truth)
    if micro:
        return np.asarray(2 * right.sum(1) / np.maximum(total.sum(1), 1))
    return np.asarray((2 * right / np.maximum(total, 1)).sum(1) / np.maximum((total > 0).sum(1), 1))


def mean_average_precision(weights: Weights, scores: Floats, truth: Floats) -> Floats:
    """The mean of :func:`average_precision` over the labels that a resample's images have, ``(R,)``."""
    each = np.stack([average_precision(weights, s, t) for s, t in zip(scores.T, truth.T, strict=True)])
    has = ~np.isnan(each)
    return np.asarray(np.where(has, each, 0).sum(0) / np.where(has.any(0), has.sum(0), np.nan))


def average_precision(weights: Weights, scores: Floats, truth: Floats) -> Floats:
    """AP = Σ (Rₙ − Rₙ₋₁) Pₙ over the thresholds, images of equal scores counted at once, as scikit-learn has it.

    Args:
        weights: ``(R, N)``.
        scores, truth: of one label, ``(N,)``.

    Returns:
        ``(R,)``, NaN where no image of the resample has the label.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # the last image of each equal score
    drawn = weights[:, order]
    hits = (drawn * truth[order]).cumsum(1)[:, ends]
    seen = drawn.cumsum(1)[:, ends]
    total = hits[:, -1]
    gained = np.diff(hits, axis=1, prepend=0)
    return np.asarray((gained * hits / np.maximum(seen, 1)).sum(1) / np.where(total > 0, total, np.nan))


def _baselines(found: Scored, data: ImageData) -> dict[str, Floats]:
    """Name of a simpler method → its scores ``(N, K)``."""
    known = complete(data.train)
    if data.train.targets is None or not known.any():
        return {}
    targets = data.train.targets.double().numpy()
    scores = {"label frequencies": np.broadcast_to(targets[known].mean(0), found.scores.shape)}
    if data.held_out is not data.train:
        near = nearest(data.train, known, data.held_out, complete(data.held_out))
        scores[f"{NEIGHBOURS}-NN on pixels"] = targets[near].mean(1)
    return scores


def label_table(outputs: Tensor, data: ImageData) -> list[Table]:
    """Average precision, precision, recall and F1 at 0.5 of each label."""
    found = scored(outputs, data)
    if found is None:
        return []
    said, truth = found.scores >= THRESHOLD, found.truth > 0
    whole = np.ones((1, len(truth)))
    rows: list[Row] = []
    for k, name in enumerate(data.spec.classes):
        right, support, positive = int((said & truth)[:, k].sum()), int(truth[:, k].sum()), int(said[:, k].sum())
        ap = float(average_precision(whole, found.scores[:, k], found.truth[:, k])[0]) if support else 0.0
        rows.append(
            {
                "label": name,
                "average precision": ap,
                "precision": right / positive if positive else 0.0,
                "recall": right / support if support else 0.0,
                "F1": 2 * right / max(support + positive, 1),
                "images": support,
                "predicted": positive,
            }
        )
    return [Table(name="labels", title=f"Each label, {data.held_out.name} images", rows=tuple(rows))]
