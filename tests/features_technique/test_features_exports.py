"""One ONNX graph from pixels to probabilities, proved equal; and what cannot be exported says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from small_features import (
    class_targets,
    number_targets,
    plain_technique_with,
    raw_images,
    small_spec,
    technique_with,
)
from torch import nn

from dlkit.errors import ExportMismatchError, UsageError
from dlkit.export import export
from dlkit.export.foreign import Foreign, edges, foreign_parts
from dlkit.export.verify import compare
from dlkit.predict.onnx_predictor import OnnxPredictor

CHEAP = {"random-forest": "n_estimators=20", "extra-trees": "n_estimators=20", "gradient-boosting": "n_estimators=10",
         "ada-boost": "n_estimators=10", "mlp": "max_iter=30", "linear-svm": "max_iter=10000"}  # fmt: skip
SPEC = small_spec()
LABELS = np.arange(60) % 3


def exported(technique: object, target: Path, format: str = "onnx", spec: object = SPEC) -> object:
    images = raw_images(100, spec, seed=1)
    options = technique.options  # type: ignore[attr-defined]
    return export(technique, spec, images, name="features", options=options, target=target, format=format)


THREE = ["knn", "svm-rbf", "random-forest", "gradient-boosting", "ada-boost", "mlp", "naive-bayes", "qda"]
TWO = ["svm-rbf", "gradient-boosting", "sklearn.linear_model.SGDClassifier"]


@pytest.mark.parametrize(("classes", "name"), [*((3, name) for name in THREE), *((2, name) for name in TWO)])
def test_classifiers_as_one_graph(classes: int, name: str, tmp_path: Path) -> None:
    labels = LABELS % classes
    spec = small_spec(classes=("a", "b", "c")[:classes])
    param = (CHEAP[name],) if name in CHEAP else ()
    technique = plain_technique_with(class_targets(labels), spec, classifier=name, param=param)
    report = exported(technique, tmp_path / "m.onnx", spec=spec)
    assert report.difference <= 1e-4
    assert report.edges <= 3
    model = onnx.load(tmp_path / "m.onnx")
    assert {each.domain for each in model.opset_import} <= {"", "ai.onnx.ml"}
    images = raw_images(9, spec, seed=2)
    with torch.inference_mode():
        expected = technique.classify(images.float() / 255).numpy()
    found = OnnxPredictor(tmp_path / "m.onnx").predict(images)["probabilities"]
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    assert (np.abs(found - expected).max(1) <= 1e-4).mean() >= 8 / 9  # one may lie on an edge


@pytest.mark.parametrize(("columns", "name"), [(1, "knn"), (1, "random-forest"), (1, "mlp"), (2, "svm-rbf")])
def test_regressors_as_one_graph(columns: int, name: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    spec = small_spec("number", ("x", "y")[:columns])
    param = (CHEAP[name],) if name in CHEAP else ()
    targets = number_targets(random.normal(size=(60, columns)))
    technique = plain_technique_with(targets, spec, classifier=name, param=param)
    report = exported(technique, tmp_path / "m.onnx", spec=spec)
    assert report.difference <= 1e-4
    assert technique.outputs() == {"numbers": "numbers"}


def test_linear_heads_fit_into_every_format(tmp_path: Path) -> None:
    technique = technique_with(class_targets(LABELS), SPEC, classifier="linear-svm")
    for name in ("torch", "safetensors", "onnx"):
        assert exported(technique, tmp_path / name, name).difference <= 1e-4


def test_other_heads_say_which_formats_hold_them(tmp_path: Path) -> None:
    technique = technique_with(class_targets(LABELS), SPEC, classifier="knn")
    with pytest.raises(UsageError, match="cannot hold"):
        exported(technique, tmp_path / "m.pt2", "torch")
    assert exported(technique, tmp_path / "m.safetensors", "safetensors").difference <= 1e-4
    technique = plain_technique_with(class_targets(LABELS), SPEC, classifier="nearest-centroid")
    with pytest.raises(UsageError, match="cannot express NearestCentroid") as refused:
        exported(technique, tmp_path / "m.onnx")
    assert "knn" in refused.value.hint
    assert not (tmp_path / "m.onnx").exists()


class Step(Foreign):
    """1 where the sum of the features exceeds a threshold."""

    def __init__(self, threshold: float) -> None:
        super().__init__(1, steps=True)
        self.threshold = threshold

    def compute(self, features: np.ndarray) -> np.ndarray:
        return features.sum(1, keepdims=True) > self.threshold


class Outer(nn.Module):
    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.step = Step(threshold)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.step(images.flatten(1)),)


def test_only_images_on_an_edge_may_take_the_other_side() -> None:
    images = torch.linspace(0, 1, 100).view(100, 1, 1, 1)
    value = float(images[50])
    model = Outer(value - 1e-7)

    def with_threshold(threshold: float):
        return lambda raw: Outer(threshold)(raw)

    found = compare(model, with_threshold(value + 1e-7), images, {"out": "values"}, edges(model))
    assert (found.edges, found.by_output["out"]) == (1, 0.0)
    with pytest.raises(ExportMismatchError, match="differs"):
        compare(model, with_threshold(value + 0.05), images, {"out": "values"}, edges(model))
    with pytest.raises(ExportMismatchError, match="differs"):  # without the knowledge of edges
        compare(model, with_threshold(value + 1e-7), images, {"out": "values"})
    everywhere = torch.full((100, 1, 1, 1), value)
    with pytest.raises(ExportMismatchError, match="another side"):
        compare(model, with_threshold(value + 1e-7), everywhere, {"out": "values"}, edges(model))


def test_parts_are_as_they_were_after_a_comparison() -> None:
    model = Outer(0.5)
    bounds = edges(model)
    assert bounds is not None
    bounds(torch.rand(3, 1, 1, 1))
    assert all(part.jitter is None for part in foreign_parts(model))
    assert edges(nn.Linear(1, 1)) is None
