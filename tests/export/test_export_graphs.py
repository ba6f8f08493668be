"""Parts of a model that take no images: a generator's noise and classes in, uint8 images out."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from fake_models import FakeClassifier, FakeOptions, fake_spec
from torch import Tensor, nn

from dlkit.errors import DataError, ExportMismatchError, PluginError
from dlkit.export import export
from dlkit.export.formats import BUILTIN_FORMATS, find_format
from dlkit.export.verify import compare
from dlkit.predict.onnx_predictor import OnnxPredictor
from dlkit.technique import Graph, GraphInput

FORMATS = [each.name for each in BUILTIN_FORMATS]
INPUTS = {"latent": GraphInput("float32", (3,), "N(0, 1)"), "label": GraphInput("int64", (), "the class")}


class _Makes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear, self.offset = nn.Linear(3, 64), nn.Embedding(3, 64)

    def forward(self, latent: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        values = self.linear(latent) + self.offset(label)
        return values.sigmoid().view(-1, 1, 8, 8), values.mean(1, keepdim=True)


class FakeGenerator(FakeClassifier):
    """A classifier with a generator beside it."""

    def __init__(self, options: Any, spec: Any) -> None:
        super().__init__(options, spec)
        torch.manual_seed(5)
        self.module.makes = _Makes().eval()
        self.labels = torch.int64

    def graphs(self) -> dict[str, Graph]:
        def draw(count: int, generator: torch.Generator) -> list[Tensor]:
            labels = torch.randint(3, (count,), generator=generator).to(self.labels)
            return [torch.randn(count, 3, generator=generator), labels]

        return {"generator": Graph(self.module.makes, INPUTS, {"image": "image", "mean": "values"}, draw)}


def exported(technique: Any, tmp_path: Path, format: str = "onnx") -> Any:
    return export(
        technique, technique.spec, None, name="fake", options=technique.options, format=format, part="generator",
        target=tmp_path / ("made" + find_format(format).suffix),
    )  # fmt: skip


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[FakeGenerator, Any]:
    """A generator, and the report of its export."""
    technique = FakeGenerator(FakeOptions(), fake_spec())
    return technique, exported(technique, tmp_path_factory.mktemp("onnx"))


@pytest.mark.parametrize("format", FORMATS)
def test_a_generator_leaves_in_every_format(format: str, tmp_path: Path, onnx_file: tuple[FakeGenerator, Any]) -> None:
    technique, report = onnx_file
    if format != "onnx":
        report = exported(technique, tmp_path, format)
    assert report.difference <= 1e-4
    assert (report.part, report.images, set(report.differences)) == ("generator", 256, {"image", "mean"})


def test_onnxruntime_gets_the_pixels_that_numpy_computes(onnx_file: tuple[FakeGenerator, Any]) -> None:
    technique, path = onnx_file[0], onnx_file[1].path
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [(each.name, each.shape) for each in session.get_inputs()] == [
        ("latent", ["batch", 3]),
        ("label", ["batch"]),
    ]
    latent = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    label = np.arange(9) % 3
    image, _ = session.run(None, {"latent": latent, "label": label})
    linear, offset = technique.module.makes.linear, technique.module.makes.offset
    values = (
        latent @ linear.weight.detach().numpy().T + linear.bias.detach().numpy() + offset.weight.detach().numpy()[label]
    )
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image.reshape(9, 64), np.round(255 / (1 + np.exp(-values))).astype(np.uint8))


def test_the_file_says_what_it_takes_and_predict_says_so(onnx_file: tuple[FakeGenerator, Any]) -> None:
    path = onnx_file[1].path
    said = {each.key: each.value for each in onnx.load(path).metadata_props}
    assert json.loads(said["inputs"])["latent"] == {"kind": "float32", "shape": [3], "means": "N(0, 1)"}
    with pytest.raises(DataError, match="takes no images but latent, label"):
        OnnxPredictor(path)


def test_inputs_that_are_not_as_declared_are_refused(tmp_path: Path) -> None:
    technique = FakeGenerator(FakeOptions(), fake_spec())
    technique.labels = torch.int32
    with pytest.raises(PluginError, match=r"draw\(\) gives 'label' as torch.int32"):
        exported(technique, tmp_path)
    graph = technique.graphs()["generator"]
    technique.graphs = lambda: {"generator": dataclasses.replace(graph, module=_Makes())}  # type: ignore[method-assign]
    technique.labels = torch.int64
    with pytest.raises(PluginError, match="eval mode"):
        exported(technique, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_rounding_is_allowed_and_no_more() -> None:
    pixels = torch.rand(20, 1, 4, 4)

    def compared(shift: float) -> float:
        def rounded(x: Tensor) -> list[Tensor]:
            return [(255 * (x + shift).clamp(0, 1)).round().byte()]

        return compare(lambda x: (x,), rounded, pixels, {"image": "image"}).by_output["image"]

    assert compared(0) <= 1e-7
    with pytest.raises(ExportMismatchError):
        compared(2 / 255)
