"""Through the command line: figures beside those before fine-tuning, reload, export, use as a backbone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import dlkit
from dlkit.cli.main import main
from dlkit.run import Run

SMALL = ["--layers", "24,16", "--pretrain-epochs", "2", "--head-epochs", "2", "--epochs", "2", "--batch-size", "16",
         "--threads", "1", "--quiet"]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, shapes_npz: Path) -> Run:
    root = tmp_path_factory.mktemp("stacked") / "runs"
    words = ["train", "stacked", "--data", str(shapes_npz), "--labels", "40", "--runs", str(root), *SMALL]
    assert main(words) == 0
    return Run(root / "stacked" / "shapes-001")


def test_figures_stand_beside_those_before_fine_tuning(run: Run) -> None:
    metrics = run.load_evaluation()
    assert metrics is not None
    accuracy = metrics.get("accuracy", "test")
    assert {"before fine-tuning", "majority class", "5-NN on pixels"} <= accuracy.baselines.keys()
    tables: dict[str, Any] = {table.name: table.rows for table in metrics.tables}
    assert [row["layer"] for row in tables["layers"]] == ["pixels", "layer 1", "layer 2"]
    assert set(tables["layers"][0]) == {"layer", "random layers", "pretrained, frozen", "after fine-tuning"}
    pixels = tables["layers"][0]
    assert pixels["random layers"] == pixels["pretrained, frozen"] == pixels["after fine-tuning"]
    titles = {picture["name"] for picture in json.loads((run.path / "plots" / "index.json").read_text())}
    assert {"layers", "filters", "filters-pretrained", "feature-space"} <= titles


def test_it_is_read_back_as_it_was(run: Run) -> None:
    technique = run.load_technique()
    again = type(technique).load(technique.state(), run.settings.options, run.spec)
    ours, theirs = technique.state(), again.state()
    assert ours.plain == theirs.plain
    assert ours.tensors.keys() == theirs.tensors.keys()
    assert all(torch.equal(tensor, theirs.tensors[name]) for name, tensor in ours.tensors.items())


def test_evaluating_again_gives_the_same(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run.path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    metrics = run.load_evaluation()
    assert metrics is not None
    assert [row["value"] for row in found["metrics"]] == [row.value for row in metrics]


def test_exports_answer_alike(run: Run, tmp_path: Path) -> None:
    assert main(["export", str(run.path), "--out", str(tmp_path / "model.onnx"), "--quiet"]) == 0


def test_its_features_feed_others(run: Run, shapes_npz: Path, tmp_path: Path) -> None:
    technique = run.load_technique()
    assert technique.encode(torch.rand(5, 1, 8, 8)).shape == (5, 16)
    words = ["train", "features", "--backbone", f"run:{run.path}", "--data", str(shapes_npz), "--runs", str(tmp_path),
             "--threads", "1", "--quiet"]  # fmt: skip
    assert main(words) == 0


@pytest.mark.parametrize("pretrain", ["rbm", "autoencoder", "supervised", "none"])
def test_the_phases_are_planned(shapes_npz: Path, capsys: pytest.CaptureFixture[str], pretrain: str) -> None:
    words = ["train", "stacked", "--pretrain", pretrain, "--layers", "8,6", "--data", str(shapes_npz), "--dry-run",
             "--json"]  # fmt: skip
    assert main(words) == 0
    phases = json.loads(capsys.readouterr().out)["phases"]
    names = ["train"] if pretrain == "none" else ["layer-1", "layer-2", "head", "finetune"]
    assert [phase["phase"] for phase in phases] == names
    whole = (64 * 8 + 8) + (8 * 6 + 6) + (6 * 3 + 3)
    assert phases[-1]["trainable"] == whole
    assert pretrain == "none" or sum(phase["trainable"] for phase in phases[:-1]) == whole


@pytest.mark.parametrize("labels", ["several", "numbers"])
def test_several_labels_and_numbers(tmp_path: Path, shapes_npz: Path, labels: str) -> None:
    with np.load(shapes_npz) as found:
        images, classes, split = found["images"], found["labels"], found["split"]
    given = np.eye(3, dtype=int)[classes] + (classes == 0)[:, None] * [0, 1, 0] if labels == "several" else classes / 7
    np.savez(tmp_path / "data.npz", images=images, labels=given, split=split)
    model = dlkit.train("stacked", data=tmp_path / "data.npz", runs=tmp_path / "runs", layers=(8, 6), epochs=1,
                        pretrain_epochs=1, head_epochs=1, labels=40, threads=1)  # fmt: skip
    first = model.metrics[0]
    assert "before fine-tuning" in first.baselines


def test_more_epochs_are_more_of_the_last_phase(tmp_path: Path, shapes_npz: Path) -> None:
    """Also where the phases before it had more of them already."""
    words = ["train", "stacked", "--data", str(shapes_npz), "--layers", "8", "--pretrain-epochs", "4", "--head-epochs",
             "1", "--threads", "1", "--runs", str(tmp_path), "--quiet"]  # fmt: skip
    assert main([*words, "--epochs", "2"]) == 0
    assert main([*words, "--epochs", "3"]) == 0
    run, whole = Run(tmp_path / "stacked" / "shapes-001"), Run(tmp_path / "stacked" / "shapes-002")
    assert main(["resume", str(run.path), "--epochs", "3", "--quiet"]) == 0
    ours, theirs = (each.load_technique().state().tensors for each in (run, whole))
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
