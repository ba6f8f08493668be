"""scikit-learn's estimators by short name or dotted path, with their parameters checked. Light until one is made."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dlkit.data.spec import TargetKind
from dlkit.errors import UsageError
from dlkit.options.literals import literal
from dlkit.options.suggest import did_you_mean

Grid = Mapping[str, Sequence[Any]]

_STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
_DEPTHS = {"max_features": ("sqrt", 0.1, 0.3), "min_samples_leaf": (1, 2, 5)}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What a short name stands for.

    Attributes:
        classes, number: dotted paths of the estimator for classes and for numbers; empty where there is none.
        defaults: parameters that differ from scikit-learn's defaults.
        grid: what a search tries where the user does not say.
    """

    classes: str = ""
    number: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    grid: Grid = field(default_factory=dict)

    def path(self, target: TargetKind) -> str:
        """The dotted path for what labels say; empty where there is none."""
        return {"classes": self.classes, "number": self.number}.get(target, "")


ESTIMATORS: dict[str, Entry] = {
    "softmax": Entry(
        classes="sklearn.linear_model.LogisticRegression", defaults={"max_iter": 1000}, grid={"C": _STRENGTHS},
    ),
    "linear-svm": Entry(
        classes="sklearn.svm.LinearSVC", number="sklearn.svm.LinearSVR", defaults={"max_iter": 10_000},
        grid={"C": _STRENGTHS},
    ),
    "ridge": Entry(
        classes="sklearn.linear_model.RidgeClassifier", number="sklearn.linear_model.Ridge",
        grid={"alpha": (0.1, 1.0, 10.0, 100.0, 1e3, 1e4)},
    ),
    "knn": Entry(
        classes="sklearn.neighbors.KNeighborsClassifier", number="sklearn.neighbors.KNeighborsRegressor",
        defaults={"algorithm": "brute"},  # as fast as trees where there are many features
        grid={"n_neighbors": (1, 3, 5, 10, 20), "weights": ("uniform", "distance")},
    ),
    "svm-rbf": Entry(
        classes="sklearn.svm.SVC", number="sklearn.svm.SVR",
        defaults={"break_ties": True},  # predicts the class with the largest decision value
        grid={"C": (0.1, 1.0, 10.0, 100.0), "gamma": ("scale", 1e-4, 1e-3, 1e-2)},
    ),
    "random-forest": Entry(
        classes="sklearn.ensemble.RandomForestClassifier", number="sklearn.ensemble.RandomForestRegressor",
        grid=_DEPTHS,
    ),
    "extra-trees": Entry(
        classes="sklearn.ensemble.ExtraTreesClassifier", number="sklearn.ensemble.ExtraTreesRegressor", grid=_DEPTHS,
    ),
    "gradient-boosting": Entry(
        classes="sklearn.ensemble.GradientBoostingClassifier", number="sklearn.ensemble.GradientBoostingRegressor",
        defaults={"max_features": "sqrt"},  # of thousands of features; all of them at each split take minutes
        grid={"learning_rate": (0.03, 0.1, 0.3), "max_depth": (1, 2, 3)},
    ),
    "decision-tree": Entry(
        classes="sklearn.tree.DecisionTreeClassifier", number="sklearn.tree.DecisionTreeRegressor",
        grid={"max_depth": (2, 4, 8, 16), "min_samples_leaf": (1, 5, 20)},
    ),
    "mlp": Entry(
        classes="sklearn.neural_network.MLPClassifier", number="sklearn.neural_network.MLPRegressor",
        defaults={"max_iter": 500},
        grid={"alpha": (1e-4, 1e-2, 1.0), "hidden_layer_sizes": ((100,), (256,), (256, 64))},
    ),
    "naive-bayes": Entry(
        classes="sklearn.naive_bayes.GaussianNB", grid={"var_smoothing": (1e-9, 1e-6, 1e-3, 1e-1)},
    ),
    "lda": Entry(
        classes="sklearn.discriminant_analysis.LinearDiscriminantAnalysis",
        defaults={"solver": "lsqr", "shrinkage": "auto"},  # Ledoit and Wolf 2004: fewer images than features
        grid={"shrinkage": ("auto", 0.1, 0.5, 0.9)},
    ),
    "qda": Entry(
        classes="sklearn.discriminant_analysis.QuadraticDiscriminantAnalysis",
        defaults={"solver": "eigen", "shrinkage": "auto"},  # as for lda
        grid={"shrinkage": ("auto", 0.1, 0.5, 0.9)},
    ),
    "nearest-centroid": Entry(
        classes="sklearn.neighbors.NearestCentroid", grid={"shrink_threshold": (None, 0.1, 0.5, 1.0)},
    ),
    "ada-boost": Entry(
        classes="sklearn.ensemble.AdaBoostClassifier", number="sklearn.ensemble.AdaBoostRegressor",
        grid={"n_estimators": (50, 200), "learning_rate": (0.1, 0.5, 1.0)},
    ),
    # Features and numbers are standardised: scikit-learn's alpha of 1 makes all weights zero.
    "lasso": Entry(
        number="sklearn.linear_model.Lasso", defaults={"alpha": 0.01}, grid={"alpha": (1e-3, 1e-2, 1e-1, 1.0)},
    ),
    "elastic-net": Entry(
        number="sklearn.linear_model.ElasticNet", defaults={"alpha": 0.01},
        grid={"alpha": (1e-3, 1e-2, 1e-1, 1.0), "l1_ratio": (0.1, 0.5, 0.9)},
    ),
}  # fmt: skip
"""Short name → estimator."""

DEFAULTS: dict[TargetKind, str] = {"classes": "softmax", "number": "ridge"}
"""What is fitted where the user does not say."""


def parse_parameters(pieces: Iterable[str]) -> dict[str, tuple[Any, ...]]:
    """``KEY=VALUE`` or ``KEY=A|B|C`` pieces → key → its candidates, most often one.

    A piece without ``=`` belongs to the one before it, whose value had a comma in it: ``hidden_layer_sizes=(100,50)``.

    Raises:
        ValueError: a piece is not ``KEY=VALUE``.
    """
    whole: list[str] = []
    for piece in pieces:
        if "=" in piece:
            whole.append(piece)
        elif whole:
            whole[-1] += "," + piece
        else:
            raise ValueError(f"--param takes KEY=VALUE, got {piece!r}")
    pairs = (text.partition("=") for text in whole)
    return {key.strip(): tuple(literal(value) for value in values.split("|")) for key, _, values in pairs}


def make_estimator(name: str, target: TargetKind, parameters: Mapping[str, Any], seed: int) -> Any:
    """An estimator that is not fitted yet, with its parameters checked as scikit-learn checks them.

    Args:
        name: a short name of :data:`ESTIMATORS`, or a dotted path (``sklearn.svm.NuSVC``).
        target: what labels say.
        parameters: of its constructor; they win over the short name's own.
        seed: becomes ``random_state`` where it has one.

    Raises:
        UsageError: no such estimator, one that does not fit the labels, or a wrong parameter.
    """
    path, defaults = _resolved(name, target)
    kind = _imported(path)
    if not (isinstance(kind, type) and hasattr(kind, "fit") and hasattr(kind, "predict")):
        raise UsageError(f"{name!r} is not a class with fit and predict.", "For example sklearn.svm.NuSVC.")
    _check_target(name, kind, target)
    known = inspect.signature(kind).parameters
    open_ended = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in known.values())
    for key in parameters:
        if key not in known and not open_ended:
            raise UsageError(
                f"--param {key}: {name} ({kind.__name__}) has no parameter of that name.",
                did_you_mean(key, known) or f"It has {', '.join(sorted(known))}.",
            )
    own = {key: value for key, value in defaults.items() if key in known}  # classifiers may have more than regressors
    values = {**own, **({"random_state": seed} if "random_state" in known else {}), **parameters}
    try:
        made = kind(**values)
    except (TypeError, ValueError) as error:  # an estimator that needs another one, say
        raise UsageError(f"{name}: {error}.") from error
    _check_values(made, name, target)
    return made


def _resolved(name: str, target: TargetKind) -> tuple[str, Mapping[str, Any]]:
    if "." in name:
        return name, {}
    entry = ESTIMATORS.get(name)
    if entry is None:
        hint = did_you_mean(name, ESTIMATORS) or "A dotted path such as sklearn.svm.NuSVC works too."
        raise UsageError(f"There is no classifier {name!r}; expected one of {', '.join(ESTIMATORS)}.", hint)
    path = entry.path(target)
    if not path:
        fitting = [other for other, each in ESTIMATORS.items() if each.path(target)]
        says = "numbers" if target == "number" else "classes"
        raise UsageError(f"{name} does not learn {says}.", f"What does: {', '.join(fitting)}.")
    return path, entry.defaults


def _imported(path: str) -> Any:
    from importlib import import_module

    module, _, attribute = path.rpartition(".")
    try:
        found = import_module(module)
    except ImportError as error:
        raise UsageError(f"--classifier {path}: {error}.", "Is its package installed?") from error
    try:
        return getattr(found, attribute)
    except AttributeError:
        raise UsageError(f"{module} has no {attribute!r}.", did_you_mean(attribute, dir(found))) from None


def _check_target(name: str, kind: type, target: TargetKind) -> None:
    from sklearn.base import ClassifierMixin, RegressorMixin

    wrong = RegressorMixin if target == "classes" else ClassifierMixin
    if issubclass(kind, wrong) and not issubclass(kind, ClassifierMixin if target == "classes" else RegressorMixin):
        does, are = ("numbers", "classes") if target == "classes" else ("classes", "numbers")
        raise UsageError(f"{name} ({kind.__name__}) learns {does}, but the labels are {are}.")


def _check_values(estimator: Any, name: str, target: TargetKind) -> None:
    """Fit a copy on a few drawn points: scikit-learn's own judgement of the values, before features are computed."""
    import warnings

    import numpy as np
    from sklearn.base import clone

    points = np.random.default_rng(0).normal(size=(40, 4))
    labels: Any = np.arange(40) % 2 if target == "classes" else points[:, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            (clone(estimator) if hasattr(estimator, "get_params") else type(estimator)()).fit(points, labels)
        except Exception as error:  # whatever does not come from the values may come from these few points
            if type(error).__name__ == "InvalidParameterError":  # scikit-learn's, which is not public
                raise UsageError(f"--param: {name}: {error}") from error
