"""Fitting the estimator: pipeline, search over its parameters, calibration; scikit-learn throughout."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import ParameterGrid, ParameterSampler
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from dlkit.errors import DataError, UsageError
from dlkit.probes.estimators import DEFAULTS, ESTIMATORS, make_estimator
from dlkit.probes.folds import Fold, folds
from dlkit.probes.targets import Floats, Ints, Targets
from dlkit_builtin.features.options import FeaturesOptions

Values = NDArray[np.float32]

_SMALL = 10_000_000  # values (images × features) below which several BLAS threads only wait for each other
_ENDS = (-10.0, 10.0)  # of the logarithm of the inverse temperature


@dataclass(frozen=True)
class Fitted:
    """What fitting gives.

    Attributes:
        pipeline: standardisation, PCA and the estimator (the step ``model``), fitted on all training images.
        shift, spread: of numbers: the estimator learns (number − shift) / spread; float64 ``(K,)``.
        sharpness: β of softmax(β · decision values), for estimators without probabilities; None for others.
        table: a search's candidates, best first: parameters, mean and standard deviation of the score.
        notices: what the user should know.
    """

    pipeline: Any
    shift: Floats
    spread: Floats
    sharpness: float | None = None
    table: tuple[dict[str, Any], ...] = ()
    notices: tuple[str, ...] = ()


def classifier_name(options: FeaturesOptions, target: str) -> str:
    """What is fitted."""
    return options.classifier or DEFAULTS[target]  # type: ignore[index]


def check_estimator(options: FeaturesOptions, targets: Targets, seed: int) -> None:
    """Make every candidate once, so that wrong names and values are told before features are computed.

    Raises:
        UsageError: a wrong name, parameter or value, or a search with nothing to search.
    """
    name, fixed = classifier_name(options, targets.kind), _fixed(options)
    make_estimator(name, targets.kind, fixed, seed)
    for key, values in _candidates(options, targets).items():
        for value in values:
            make_estimator(name, targets.kind, fixed | {key: value}, seed)


def fit(options: FeaturesOptions, features: Values, targets: Targets, seed: int, progress: Any) -> Fitted:
    """Fit on features ``(N, D)`` of the labelled training images.

    Raises:
        UsageError: parameters that do not fit these features.
        DataError: nothing to learn: fewer than two classes.
    """
    if targets.kind == "classes" and len(np.unique(targets.values)) < 2:
        raise DataError("The training images are all of one class; a classifier needs at least two.")
    y, shift, spread = _standardised(targets)
    pipeline = _pipeline(options, targets, seed)
    parts = folds(targets, options.folds, seed)
    table: tuple[dict[str, Any], ...] = ()
    with _heeded(features) as notices:
        if options.search is not None:
            table = _search(options, pipeline, features, y, targets, parts, seed, progress)
            pipeline.set_params(**_prefixed(pipeline, table[0]["parameters"]))
        _fit_one(pipeline, features, y, options)
        sharpness = _sharpness(pipeline, features, targets, parts, notices)
    return Fitted(pipeline, shift, spread, sharpness, table, tuple(notices))


def _standardised(targets: Targets) -> tuple[Any, Floats, Floats]:
    """Numbers with mean 0 and standard deviation 1, as penalties and tolerances of estimators expect them."""
    if targets.kind == "classes":
        return targets.values, np.zeros(1), np.ones(1)
    shift, spread = targets.values.mean(0), targets.values.std(0)
    spread = np.where(spread > 0, spread, 1.0)
    y = (targets.values - shift) / spread
    return (y[:, 0] if y.shape[1] == 1 else y), shift, spread


def _pipeline(options: FeaturesOptions, targets: Targets, seed: int) -> Any:
    model = make_estimator(classifier_name(options, targets.kind), targets.kind, _fixed(options), seed)
    if targets.kind == "number" and targets.outputs > 1:
        model = MultiOutputRegressor(model)
    steps: list[tuple[str, Any]] = [("scale", StandardScaler())] if options.standardize else []
    if options.pca is not None:
        steps.append(("pca", PCA(options.pca.value, svd_solver="full", random_state=seed)))
    return Pipeline([*steps, ("model", model)])


def _fixed(options: FeaturesOptions) -> dict[str, Any]:
    return {key: values[0] for key, values in options.parameters.items() if len(values) == 1}


def _candidates(options: FeaturesOptions, targets: Targets) -> dict[str, Sequence[Any]]:
    """What a search varies: the user's candidates, or where there are none the short name's own grid."""
    if options.search is None:
        return {}
    given = {key: values for key, values in options.parameters.items() if len(values) > 1}
    name = classifier_name(options, targets.kind)
    own = ESTIMATORS[name].grid if name in ESTIMATORS else {}
    found: dict[str, Sequence[Any]] = {**given} or {
        key: values for key, values in own.items() if key not in options.parameters
    }
    if not found:
        raise UsageError(f"--search: there is nothing to search for {name}.", "Give candidates: --param C=0.1|1|10.")
    return found


def _draws(options: FeaturesOptions, targets: Targets, seed: int) -> list[dict[str, Any]]:
    candidates = _candidates(options, targets)
    if options.search == "grid":
        return list(ParameterGrid(candidates))
    from scipy.stats import loguniform

    ranges = {
        key: loguniform(min(values), max(values)) if all(type(v) is float and v > 0 for v in values) else list(values)
        for key, values in candidates.items()
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that there are fewer combinations than trials
        return list(ParameterSampler(ranges, options.trials, random_state=seed))


def _search(
    options: FeaturesOptions, pipeline: Any, features: Values, y: Any, targets: Targets, parts: Sequence[Fold],
    seed: int, progress: Any,
) -> tuple[dict[str, Any], ...]:  # fmt: skip
    """Each candidate's mean score over the folds, best first; of equal ones the first that was tried."""
    draws = _draws(options, targets, seed)
    rows: list[dict[str, Any]] = []
    with progress("Search", len(draws) * len(parts), "fits") as shown:
        for draw in draws:
            candidate = clone(pipeline).set_params(**_prefixed(pipeline, draw))
            scores = []
            for train, test in parts:
                scores.append(_score(candidate, features, y, train, test))
                shown.advance()
            spread = float(np.std(scores)) if np.isfinite(scores).all() else math.nan
            rows.append({"parameters": draw, "score": float(np.mean(scores)), "std": spread})
    if all(math.isnan(row["score"]) for row in rows):
        raise UsageError(
            f"--search: no candidate for {classifier_name(options, targets.kind)} can be fitted on "
            f"{len(parts[0][0])} images.", "Give others with --param KEY=A|B|C, or more images.",
        )  # fmt: skip
    return tuple(sorted(rows, key=lambda row: -row["score"] if not math.isnan(row["score"]) else math.inf))


def _score(candidate: Any, features: Values, y: Any, train: Ints, test: Ints) -> float:
    """Accuracy or R² on a fold; NaN where the candidate cannot be fitted (more neighbours than images)."""
    try:
        return float(candidate.fit(features[train], y[train]).score(features[test], y[test]))
    except ValueError:
        return math.nan


def _prefixed(pipeline: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:
    prefix = "model__estimator__" if isinstance(pipeline["model"], MultiOutputRegressor) else "model__"
    return {prefix + key: value for key, value in parameters.items()}


def _fit_one(pipeline: Any, features: Values, y: Any, options: FeaturesOptions) -> None:
    try:
        pipeline.fit(features, y)
        pipeline.predict(features[:1])  # some find out only here: more neighbours than images
    except ValueError as error:
        what = f" with --pca {options.pca}" if options.pca is not None else ""
        raise UsageError(
            f"{type(pipeline['model']).__name__}{what} cannot be fitted on {features.shape[0]} images with "
            f"{features.shape[1]} features: {error}"
        ) from error


@contextmanager
def _heeded(features: Values) -> Iterator[list[str]]:
    """Warnings as notices, each once; and no more threads than pay."""
    notices: list[str] = []
    with (
        warnings.catch_warnings(record=True) as caught,
        threadpool_limits(1 if features.size < _SMALL else None, user_api="blas"),
    ):
        warnings.simplefilter("always")
        yield notices
    if any(issubclass(each.category, ConvergenceWarning) for each in caught):
        notices.append("The estimator did not converge within its iterations; --param max_iter=… allows more.")


def _sharpness(
    pipeline: Any, features: Values, targets: Targets, parts: Sequence[Fold], notices: list[str]
) -> float | None:
    """Temperature scaling (Guo et al. 2017, section 4.2): β = 1/T minimises  Σᵢ −log softmax(β sᵢ)[yᵢ]  over decision
    values s that folds' estimators give for images that they never saw. The class that comes first stays the same."""
    if targets.kind != "classes" or hasattr(pipeline, "predict_proba") or not hasattr(pipeline, "decision_function"):
        return None
    known, y = np.unique(targets.values, return_inverse=True)
    if np.bincount(y).min() < 2:
        notices.append("Some class has a single training image, so its probabilities are not calibrated.")
        return 1.0
    scores = np.zeros((len(y), len(known)))
    for train, test in parts:
        if len(np.unique(y[train])) < len(known):  # fewer images than folds: all in one fold
            notices.append("Some class has too few training images to calibrate probabilities by cross-validation.")
            return 1.0
        scores[test] = decision_values(clone(pipeline).fit(features[train], y[train]), features[test])
    return sharpness_of(scores, y)


def sharpness_of(scores: Floats, labels: NDArray[Any]) -> float:
    """β of decision values ``(N, K)`` with labels ``(N,)`` in range(K)."""
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    right = scores[np.arange(len(labels)), labels]

    def loss(log_beta: float) -> float:
        beta = math.exp(log_beta)
        return float(np.mean(logsumexp(beta * scores, axis=1) - beta * right))

    return math.exp(minimize_scalar(loss, bounds=_ENDS, method="bounded", options={"xatol": 1e-10}).x)


def decision_values(estimator: Any, features: NDArray[Any]) -> NDArray[Any]:
    """``(N, K)``; of two classes −s and s."""
    values = np.asarray(estimator.decision_function(features))
    return np.stack([-values, values], 1) if values.ndim == 1 else values
