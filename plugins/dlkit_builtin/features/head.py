"""The fitted estimator as a module: exact weights where it is linear, else the estimator with its own ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from dlkit.errors import UsageError
from dlkit.export.foreign import Foreign
from dlkit_builtin.features.fitting import Fitted, decision_values
from dlkit_builtin.features.sealed import seal, unseal

if TYPE_CHECKING:
    import onnx

_STEPPING = ("sklearn.tree", "sklearn.ensemble", "sklearn.neighbors", "sklearn.svm")  # SVC of many classes votes
_ML_OPSET = 3
_ROWS = 256  # training images on which a linear form is compared with the estimator
_AGREE = 1e-3  # of the values' spread; float32 estimators differ by less, others by more than all of it


class Linear(nn.Module):
    """``(x − center) Wᵀ + b``. The centre is apart, since a feature's mean may be large beside its spread."""

    center: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, center: Tensor, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("center", center)
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, D)`` → ``(B, k)``."""
        return F.linear(features - self.center, self.weight, self.bias)


class Estimator(Foreign):
    """A fitted pipeline of scikit-learn.

    Args:
        pipeline: its last step is named ``model``.
        method: ``predict_proba``, ``decision_function`` or ``predict`` (numbers; of a classifier 1 for its answer).
        outputs: how many values an image has.
    """

    def __init__(self, pipeline: Any, method: str, outputs: int) -> None:
        module = type(pipeline["model"]).__module__
        super().__init__(outputs, steps=module.startswith(_STEPPING) or not module.startswith("sklearn."))
        self.pipeline = pipeline
        self.method = method

    def compute(self, features: NDArray[np.float32]) -> NDArray[Any]:
        """``(B, D)`` → ``(B, k)``."""
        if self.method == "decision_function":
            return decision_values(self.pipeline, features)
        found = np.asarray(getattr(self.pipeline, self.method)(features))
        if self.method == "predict" and hasattr(self.pipeline, "classes_"):
            return np.asarray(found[:, None] == self.pipeline.classes_)
        return found.reshape(len(features), -1)

    def onnx_graph(self) -> onnx.ModelProto:
        """What skl2onnx makes of the pipeline.

        Raises:
            UsageError: it knows no such estimator.
        """
        from dlkit.export.onnx_format import OPSET

        if self.method == "predict" and hasattr(self.pipeline, "classes_"):
            raise _inexpressible(self.pipeline["model"], "it gives neither probabilities nor decision values")
        made = _converted(self.pipeline, self.method, OPSET)
        kept = made.graph.output[-1]  # label and probabilities, or numbers
        del made.graph.output[:]
        made.graph.output.append(kept)
        return made


def _converted(pipeline: Any, method: str, opset: int) -> onnx.ModelProto:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    model = pipeline["model"]
    options: dict[str, Any] = {} if method == "predict" else {"zipmap": False}
    if method == "decision_function":
        options["raw_scores"] = True
    shape = [("features", FloatTensorType([None, pipeline.n_features_in_]))]
    versions = {"": opset, "ai.onnx.ml": _ML_OPSET}
    try:
        return convert_sklearn(pipeline, initial_types=shape, options={id(model): options}, target_opset=versions)
    except Exception as error:  # its own for unknown ones, any other for what it gets wrong
        raise _inexpressible(model, (str(error).splitlines() or [""])[0][:160]) from error


def _inexpressible(model: Any, why: str) -> UsageError:
    return UsageError(
        f"skl2onnx cannot express {type(model).__name__} as ONNX: {why}",
        "What can be exported: softmax, linear-svm, ridge, lda (in every format), knn, svm-rbf, random-forest, "
        "extra-trees, gradient-boosting, decision-tree, ada-boost, mlp, naive-bayes, qda.",
    )


class Head(nn.Module):
    """Features ``(B, D)`` → probabilities of all K classes, or numbers in their own units, ``(B, K)``.

    With s what ``score`` gives and P the 0/1 matrix from the classes that have training images to all classes:
    softmax(β s) P where β is given, s P for an estimator's own probabilities, s · spread + shift for numbers.

    Args:
        score: see above.
        sharpness: β, or NaN where there is no softmax.
        places: P, ``(k, K)``.
        shift, spread: ``(K,)``.
    """

    places: Tensor
    shift: Tensor
    spread: Tensor

    def __init__(self, score: nn.Module, sharpness: float, places: Tensor, shift: Tensor, spread: Tensor) -> None:
        super().__init__()
        self.score = score
        self.sharpness = sharpness
        self.register_buffer("places", places)
        self.register_buffer("shift", shift)
        self.register_buffer("spread", spread)
        self.complete = places.shape[0] == places.shape[1]

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        values: Tensor = self.score(features)
        if self.sharpness == self.sharpness:
            values = (self.sharpness * values).softmax(1)
        if not self.complete:
            values = values @ self.places
        return values * self.spread + self.shift

    def tensors(self) -> dict[str, Tensor]:
        """All that was learned; the estimator as bytes where it is not linear."""
        found = dict(self.state_dict())
        if isinstance(self.score, Estimator):
            found["estimator"] = seal(self.score.pipeline)[0]
        return found

    def plain(self) -> dict[str, Any]:
        """The rest of it."""
        method = self.score.method if isinstance(self.score, Estimator) else "linear"
        return {"method": method, "sharpness": None if self.sharpness != self.sharpness else self.sharpness}

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`tensors` and :meth:`plain`."""
        places = tensors["places"]
        if plain["method"] == "linear":
            score: nn.Module = Linear(*(tensors[f"score.{name}"] for name in ("center", "weight", "bias")))
        elif tensors["estimator"].any():
            score = Estimator(unseal(tensors["estimator"]), plain["method"], places.shape[0])
        else:  # zeros: the technique is built for its features alone, as a backbone run:RUN
            score = nn.Identity()
        sharpness = float("nan") if plain["sharpness"] is None else float(plain["sharpness"])
        return cls(score, sharpness, places, tensors["shift"], tensors["spread"]).eval()


def make_head(fitted: Fitted, features: NDArray[np.float32], outputs: int, *, classes: bool) -> Head:
    """The head of a fitted pipeline.

    Args:
        fitted: see there.
        features: of training images, on which a linear form is proved equal.
        outputs: K.
        classes: whether it classifies.
    """
    pipeline, sharpness = fitted.pipeline, fitted.sharpness
    some = features[:_ROWS]
    known = pipeline.classes_ if classes else range(outputs)
    method = next(name for name in ("predict_proba", "decision_function", "predict")
                  if hasattr(pipeline, name) and (classes or name == "predict"))  # fmt: skip
    score: nn.Module = Estimator(pipeline, method, len(known))
    linear = _linear_form(pipeline)
    if linear is not None:
        sharpness, fits = _judged(pipeline, linear, some, sharpness, classes=classes)
        score = _folded(pipeline, *linear) if fits else score
    places = torch.zeros(len(known), outputs)
    places[range(len(known)), [int(each) for each in known]] = 1
    shift, spread = (torch.from_numpy(np.broadcast_to(each, outputs).astype(np.float32)) for each in
                     (fitted.shift, fitted.spread))  # fmt: skip
    return Head(score, float("nan") if sharpness is None else sharpness, places, shift.clone(), spread.clone()).eval()


def _linear_form(pipeline: Any) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Weights ``(k, D)`` and bias ``(k,)`` on what the last step sees, float64; two rows ∓w of two classes."""
    model = pipeline["model"]
    models: Sequence[Any] = (
        getattr(model, "estimators_", [model]) if type(model).__name__.startswith("MultiOut") else [model]
    )
    try:
        weight = np.concatenate([np.atleast_2d(np.asarray(each.coef_, dtype=np.float64)) for each in models])
        bias = np.concatenate([np.broadcast_to(each.intercept_, np.atleast_2d(each.coef_).shape[0]) for each in models])
    except (AttributeError, ValueError, TypeError):
        return None
    if hasattr(pipeline, "classes_") and len(weight) == 1:
        return np.concatenate([-weight, weight]), np.concatenate([-bias, bias])
    return weight, bias


def _judged(
    pipeline: Any, linear: tuple[NDArray[Any], NDArray[Any]], some: NDArray[np.float32], sharpness: float | None, *,
    classes: bool,
) -> tuple[float | None, bool]:  # fmt: skip
    """Whether the weights alone give what the estimator gives, and with which sharpness."""
    weight, bias = linear
    if weight.shape[1] != pipeline["model"].n_features_in_:
        return sharpness, False
    seen = pipeline[:-1].transform(some) if len(pipeline) > 1 else some
    scores = np.asarray(seen, dtype=np.float64) @ weight.T + bias
    if not classes:
        return None, _close(scores, np.asarray(pipeline.predict(some)).reshape(len(some), -1))
    if sharpness is not None:
        return sharpness, _close(scores, decision_values(pipeline, some))
    beta = 0.5 if len(pipeline.classes_) == 2 else 1.0  # σ(s) = softmax(−s/2, s/2)
    powers = np.exp(beta * (scores - scores.max(1, keepdims=True)))
    fits = _close(powers / powers.sum(1, keepdims=True), np.asarray(pipeline.predict_proba(some)))
    return (beta, True) if fits else (None, False)


def _close(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return one.shape == other.shape and bool(np.abs(one - other).max() <= _AGREE * max(float(other.std()), 1e-6))


def _folded(pipeline: Any, weight: NDArray[Any], bias: NDArray[Any]) -> Linear:
    """The steps before the model as part of the weights, in float64."""
    center = np.zeros(pipeline.n_features_in_)
    steps = pipeline.named_steps
    if "pca" in steps:
        axes, mean = (np.asarray(each, dtype=np.float64) for each in (steps["pca"].components_, steps["pca"].mean_))
        weight = weight @ axes
        bias = bias - weight @ mean
    if "scale" in steps:
        weight, center = weight / steps["scale"].scale_, np.asarray(steps["scale"].mean_)
    # In C order, as a file gives them back: another order of the weights is another order of sums.
    return Linear(*(torch.from_numpy(np.array(each, dtype=np.float32, order="C")) for each in (center, weight, bias)))
