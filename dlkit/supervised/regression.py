"""Figures of a model that predicts numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from dlkit.metrics import Metric
from dlkit.supervised.bootstrap import Floats, Weights, intervals
from dlkit.supervised.pixels import NEIGHBOURS, nearest

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.runtime import Runtime

_FIGURES: tuple[tuple[str, str, Literal["higher", "lower"]], ...] = (
    ("mae", "mean absolute error", "lower"),
    ("rmse", "root mean squared error", "lower"),
    ("r2", "R²", "higher"),
    ("spearman", "Spearman correlation", "higher"),
)


@dataclass(frozen=True)
class Numbers:
    """One column of the held-out images that have it: ``rows`` (N,) of the split, both others float64 (N,)."""

    rows: NDArray[np.int64]
    said: Floats
    truth: Floats


def numbers(outputs: Tensor, data: ImageData, column: int) -> Numbers | None:
    """A column of the outputs ``(N, K)`` of ``data.held_out`` matched with its targets; None where there are none.

    Raises:
        ValueError: outputs of another shape than the targets.
    """
    targets = data.held_out.targets
    if targets is None:
        return None
    if outputs.shape != targets.shape:
        raise ValueError(f"outputs of shape {tuple(outputs.shape)} for targets of shape {tuple(targets.shape)}")
    truth = targets[:, column].double().numpy()
    rows = np.flatnonzero(~np.isnan(truth))
    return Numbers(rows, outputs[:, column].double().numpy()[rows], truth[rows]) if len(rows) else None


def regression_metrics(outputs: Tensor, data: ImageData, runtime: Runtime) -> list[Metric]:
    """Figures of predicted numbers on the held-out images, beside the training images' mean and kNN on pixels.

    Args:
        outputs: float32 ``(N, K)`` on the CPU in the targets' units, one row for each image of ``data.held_out``.
        data: baselines are fitted on ``data.train``.
        runtime: seeds the bootstrap.

    Returns:
        ``mae``, ``rmse``, ``r2`` and ``spearman`` for each column; with several columns their names follow
        (``mae_age``). R² and Spearman's correlation are left out where the truth does not vary.
    """
    several = len(data.spec.classes) > 1
    rows: list[Metric] = []
    for column, title in enumerate(data.spec.classes):
        found = numbers(outputs, data, column)
        if found is not None:
            key = re.sub(r"\W+", "_", title.lower()).strip("_") or str(column)
            suffix = (f"_{key}", f", {title}") if several else ("", "")
            rows += _of_column(found, _baselines(found, data, column), data.held_out.name, runtime, suffix)
    return rows


def _of_column(
    found: Numbers, others: dict[str, Floats], split: str, runtime: Runtime, suffix: tuple[str, str]
) -> list[Metric]:
    whole = np.ones((1, len(found.truth)))
    statistics = _statistics(found.said, found.truth)
    spread = intervals(statistics, len(found.truth), runtime.derive("regression figures"))
    beside = {name: _statistics(said, found.truth) for name, said in others.items()}
    rows = []
    for name, label, better in _FIGURES:
        value = float(statistics[name](whole)[0])
        if np.isnan(value):
            continue
        baselines = {other: float(each[name](whole)[0]) for other, each in beside.items()}
        rows.append(
            Metric(
                name=name + suffix[0], label=label + suffix[1], value=value, split=split, better=better,
                interval=spread[name], baselines={n: v for n, v in baselines.items() if not np.isnan(v)},
                note=f"{len(found.truth):,} images" if name == "mae" else "",
            )
        )  # fmt: skip
    return rows


def _statistics(said: Floats, truth: Floats) -> dict[str, Callable[[Weights], Floats]]:
    count, error = len(truth), said - truth
    return {
        "mae": lambda weights: weights @ np.abs(error) / count,
        "rmse": lambda weights: np.sqrt(weights @ error**2 / count),
        "r2": lambda weights: r_squared(weights, said, truth),
        "spearman": lambda weights: spearman(weights, said, truth),
    }


def r_squared(weights: Weights, said: Floats, truth: Floats) -> Floats:
    """R² = 1 − Σ (said − truth)² / Σ (truth − mean)² of each resample, ``(R,)``; NaN where the truth is constant."""
    count = len(truth)
    centred = truth - truth.mean()  # the same figure, without cancellation
    spread = weights @ centred**2 - (weights @ centred) ** 2 / count
    varies = spread > 1e-12 * max(float((centred**2).sum()), 1e-300)
    return np.asarray(1 - weights @ (said - truth) ** 2 / np.where(varies, spread, np.nan))


def spearman(weights: Weights, said: Floats, truth: Floats) -> Floats:
    """The correlation of ranks of each resample, ``(R,)``, ties sharing their mean rank; NaN where one is constant."""
    a, b = _ranks(weights, said), _ranks(weights, truth)
    count = len(truth)
    middle = (count + 1) / 2  # the mean of all ranks
    a, b = a - middle, b - middle
    both, one, other = ((weights * x * y).sum(1) for x, y in ((a, b), (a, a), (b, b)))
    spread = np.sqrt(one * other)
    return np.asarray(both / np.where(spread > 0, spread, np.nan))


def _ranks(weights: Weights, values: Floats) -> Floats:
    """The rank that each image's value has in each resample, ``(R, N)``; images drawn twice are ties of themselves."""
    distinct, place = np.unique(values, return_inverse=True)
    shape = (len(values), len(distinct))
    share = np.asarray(weights @ csr_array((np.ones(len(values)), (np.arange(len(values)), place)), shape=shape))
    return np.asarray((share.cumsum(1) - (share - 1) / 2)[:, place])


def _baselines(found: Numbers, data: ImageData, column: int) -> dict[str, Floats]:
    """Name of a simpler method → what it says, ``(N,)``."""
    if data.train.targets is None:
        return {}
    targets = data.train.targets[:, column].double().numpy()
    known = ~np.isnan(targets)
    if not known.any():
        return {}
    said = {"mean of the training images": np.full(len(found.truth), targets[known].mean())}
    if data.held_out is not data.train:
        wanted = np.zeros(len(data.held_out), dtype=np.bool_)
        wanted[found.rows] = True
        said[f"{NEIGHBOURS}-NN on pixels"] = targets[nearest(data.train, known, data.held_out, wanted)].mean(1)
    return said
