"""From the command line to a report, an export and predictions; by name from the registry; pictures."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dlkit_builtin.classifier.evaluation import SVM_NOTE
from dlkit_builtin.classifier.options import ClassifierOptions
from dlkit_builtin.classifier.technique import Classifier
from PIL import Image

from dlkit import load
from dlkit.cli.main import main
from dlkit.data import load_data
from dlkit.discovery import registry
from dlkit.errors import UsageError
from dlkit.options import DataOptions, RuntimeOptions
from dlkit.runtime import Runtime
from dlkit.technique import CAPABILITIES


def dlkit(*words: object) -> None:
    assert main([str(word) for word in words]) == 0


def small(runs: Path, *words: object) -> list[object]:
    return ["train", "classifier", "--threads", 1, "--batch-size", 16, "--epochs", 2, "--runs", runs, "--quiet", *words]


@pytest.mark.parametrize("net", ["cnn", "resnet"])
def test_train_export_predict(
    net: str, tmp_path: Path, shapes_npz: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shape = ["--layers", 8, "--blocks", 1] if net == "resnet" else ["--layers", 8]
    dlkit(*small(tmp_path, "--data", shapes_npz, "--net", net, *shape))
    run = tmp_path / "classifier" / "shapes-001"
    dlkit("export", run, "--out", "model.onnx")
    Image.fromarray(np.load(shapes_npz)["images"][0]).save("a.png")
    capsys.readouterr()
    rows = []
    for source in (run, "model.onnx"):
        dlkit("predict", source, "a.png", "--format", "csv")
        rows += list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert rows[0]["class"] == rows[1]["class"]
    assert float(rows[0]["probability"]) == pytest.approx(float(rows[1]["probability"]), abs=1e-4)
    dlkit("evaluate", run, "--json")
    found = {row["name"]: row for row in json.loads(capsys.readouterr().out)["metrics"]}
    assert "majority class" in found["accuracy"]["baselines"]
    assert found["training_seconds"]["value"] > 0  # kept with the model
    names = {entry["name"] for entry in json.loads((run / "plots" / "index.json").read_text())}
    assert {"samples", "filters", "driving-images", "maps", "saliency"} <= names


@pytest.mark.parametrize(("label", "column"), [("age", "age"), ("label", "beard")])
def test_numbers_and_labels_end_to_end(
    label: str, column: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    for index in range(40):
        Image.fromarray(random.integers(0, 256, (8, 8), dtype=np.uint8)).save(tmp_path / f"{index}.png")
    rows = [f"{index}.png,{20_000 + 1000 * index},{('hat', 'hat;beard', ';')[index % 3]}" for index in range(40)]
    (tmp_path / "people.csv").write_text("\n".join(["image_path,age,label", *rows]))
    target = "number" if label == "age" else "auto"
    dlkit(*small(tmp_path, "--data", tmp_path / "people.csv", "--label", label, "--target", target, "--net", "mlp",
                 "--layers", 8))  # fmt: skip
    run = tmp_path / "classifier" / "people-001"
    dlkit("export", run, "--out", tmp_path / "model.onnx")
    capsys.readouterr()
    values = []
    for source in (run, tmp_path / "model.onnx"):
        dlkit("predict", source, tmp_path / "0.png", "--format", "csv")
        (row,) = csv.DictReader(capsys.readouterr().out.splitlines())
        values.append(float(row[column]))
    assert values[0] == pytest.approx(values[1], rel=1e-4)
    assert 10_000 < values[0] < 70_000 if label == "age" else 0 <= values[0] <= 1
    dlkit("evaluate", run, "--data", tmp_path / "people.csv")
    with pytest.raises(UsageError, match="not classes"):
        load(run).classify(tmp_path / "0.png")


def test_others_get_it_by_name(shapes_npz: Path) -> None:
    data = load_data(DataOptions(data=str(shapes_npz)))
    card = registry().technique("classifier")
    made = card.load()(ClassifierOptions(net="lenet", padding=(2,), layers=(3,)), data.spec)
    for capability in card.capabilities(card.options()):
        assert isinstance(made, CAPABILITIES[capability])
    assert made.classify(data.test.pixels()).shape == (16, 3)  # type: ignore[attr-defined]


def test_probabilities_of_margins_are_marked(shapes_npz: Path) -> None:
    data = load_data(DataOptions(data=str(shapes_npz)))
    runtime = Runtime(RuntimeOptions(device="cpu", threads=1))
    notes = {
        loss: {row.name: row.note for row in Classifier(_options(loss), data.spec).evaluate(data, runtime)}
        for loss in ("softmax", "svm")
    }
    assert SVM_NOTE in notes["svm"]["ece"]
    assert SVM_NOTE not in notes["softmax"]["ece"]


def _options(loss: Any) -> ClassifierOptions:
    return ClassifierOptions(net="mlp", layers=(4,), loss=loss)


@pytest.mark.parametrize("target", ["classes", "multi-label", "number"])
def test_regions_of_a_plane(tmp_path: Path, target: Any) -> None:
    """Two pixels are a plane, and so are two features."""
    images = np.random.default_rng(0).random((60, 1, 2)).astype(np.float32)
    above = (images[:, 0, 0] > images[:, 0, 1]).astype(int)
    labels = {"classes": above, "multi-label": np.stack([above, 1 - above], 1), "number": images[:, 0].sum(1)}[target]
    np.savez(tmp_path / "plane.npz", images=images, labels=labels)
    data = load_data(DataOptions(data=str(tmp_path / "plane.npz"), target=target))
    technique = Classifier(ClassifierOptions(net="mlp", layers=(8, 2)), data.spec)
    runtime = Runtime(RuntimeOptions(device="cpu", threads=1))
    pictures = {picture.name: picture for picture in technique.pictures(data, runtime)}
    assert {"input-regions", "feature-regions"} <= set(pictures)
    shown = pictures["input-regions"].figure.axes[0].images[0].get_array()
    assert shown is not None
    # a corner of the picture says what the network says of that point
    left, right, bottom, top = pictures["input-regions"].figure.axes[0].images[0].get_extent()
    points = torch.tensor([[left, bottom], [right, top], [right, bottom]])
    said = technique.inference_module()(points.view(3, 1, 1, 2))[0]
    values = said.argmax(1).float() if target == "classes" else said[:, 0]
    found = torch.tensor([float(shown[0, 0]), float(shown[-1, -1]), float(shown[0, -1])])
    torch.testing.assert_close(found, values.detach(), rtol=1e-4, atol=1e-5)
