"""Ensembles of real runs: averages, figures beside members, one graph, and what does not fit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dlkit.cli.main import main
from dlkit.run import open_run

FORM = ["--image-size", "32", "--channels", "3", "--threads", "1", "--quiet"]


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory, shapes_npz: Path) -> Path:
    """Two networks from scratch, and a kNN on a random backbone; the classes of the last come in another order."""
    root = tmp_path_factory.mktemp("members") / "runs"
    archive = dict(np.load(shapes_npz))
    turned = root.parent / "turned.npz"
    np.savez(turned, **archive | {"classes": archive["classes"][::-1], "labels": 2 - archive["labels"]})
    small = ["--net", "mlp", "--layers", "8", "--epochs", "2", "--batch-size", "16"]
    knn = ["--backbone", "test_resnet", "--random-init", "--classifier", "knn", "--no-cache"]
    for name, words in {
        "one": ["classifier", *small, "--data", str(shapes_npz)],
        "two": ["classifier", *small, "--seed", "1", "--data", str(shapes_npz)],
        "knn": ["features", *knn, "--data", str(turned)],
    }.items():
        assert main(["train", *words, *FORM, "--name", name, "--runs", str(root)]) == 0
    return root


def paths(root: Path, *names: str) -> str:
    return ",".join(str(root / technique / f"{name}-001") for technique, name in (each.split("/") for each in names))


ALL = ("classifier/one", "classifier/two", "features/knn")


def ensemble(members: Path, data: Path, runs: Path, *words: str, names: tuple[str, ...] = ALL) -> int:
    return main(["train", "ensemble", "--members", paths(members, *names), "--data", str(data), *FORM, "--runs",
                 str(runs), *words])  # fmt: skip


@pytest.fixture(scope="module")
def alone(members: Path, shapes_npz: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ensemble of all three with shares of 2, 1 and 1, whose members are gone. Read only."""
    root = tmp_path_factory.mktemp("alone")
    shutil.copytree(members, root / "members")
    assert ensemble(root / "members", shapes_npz, root / "runs", "--shares", "2,1,1") == 0
    shutil.rmtree(root / "members")
    return root / "runs" / "ensemble" / "shapes-001"


def by_hand(members: Path, images: torch.Tensor, names: tuple[str, ...] = ALL) -> list[np.ndarray]:
    found = []
    for path in paths(members, *names).split(","):
        run = open_run(path)
        with torch.inference_mode():
            values = run.load_technique().classify(images).numpy()
        order = [run.spec.classes.index(name) for name in ("down", "across", "square")]
        found.append(values[:, order])
    return found


def test_probabilities_are_averaged_by_the_names_of_classes(members: Path, alone: Path) -> None:
    run = open_run(str(alone))
    images = torch.rand(5, 3, 32, 32)
    one, two, knn = by_hand(members, images)
    with torch.inference_mode():
        found = run.load_technique().classify(images).numpy()
    assert run.spec.classes == ("down", "across", "square")
    np.testing.assert_allclose(found, 0.5 * one + 0.25 * two + 0.25 * knn, atol=1e-6)


def test_the_geometric_mean_is_that_of_scipy(members: Path, shapes_npz: Path, tmp_path: Path) -> None:
    from scipy.stats import gmean

    assert ensemble(members, shapes_npz, tmp_path, "--average", "geometric", names=ALL[:2]) == 0
    run = open_run(str(tmp_path / "ensemble" / "shapes-001"))
    images = torch.rand(5, 3, 32, 32)
    expected = gmean(by_hand(members, images, ALL[:2]), axis=0)
    with torch.inference_mode():
        found = run.load_technique().classify(images).numpy()
    np.testing.assert_allclose(found, expected / expected.sum(1, keepdims=True), atol=1e-6)


def test_it_outlives_its_members_and_becomes_one_graph(
    alone: Path, shapes_npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(alone), "--quiet"]) == 0
    capsys.readouterr()
    assert main(["export", str(alone), "--out", str(tmp_path / "m.onnx"), "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["difference"] <= 1e-4
    Image.fromarray(np.load(shapes_npz)["images"][0]).save(tmp_path / "x.png")
    tables = []
    for number, model in enumerate((alone, tmp_path / "m.onnx")):
        out = tmp_path / f"{number}.csv"
        assert main(["predict", str(model), str(tmp_path / "x.png"), "--out", str(out), "--quiet"]) == 0
        tables.append(out.read_text().splitlines())
    assert len(tables[0]) == len(tables[1]) == 2
    assert tables[0][0] == tables[1][0]


def test_figures_stand_beside_each_members_own(members: Path, alone: Path) -> None:
    kept = json.loads((alone / "evaluation.json").read_text())
    accuracy = next(row for row in kept["metrics"] if row["name"] == "accuracy")
    own = [open_run(path).load_evaluation() for path in paths(members, *ALL).split(",")]
    values = [metrics.get("accuracy", "test").value for metrics in own if metrics is not None]
    assert accuracy["baselines"]["best member"] == pytest.approx(max(values))
    assert accuracy["baselines"]["mean of members"] == pytest.approx(np.mean(values))
    table = next(table for table in kept["tables"] if table["name"] == "members")
    assert [row["member"] for row in table["rows"]] == ["ensemble", "one-001", "two-001", "knn-001"]
    assert [row[accuracy["label"]] for row in table["rows"][1:]] == pytest.approx(values)


@pytest.mark.parametrize(
    ("names", "words", "message"),
    [
        (("classifier/one",), (), "at least two members"),
        (ALL[:2], ("--image-size", "16"), "images of another form: height 32, width 32"),
        (ALL[:2], ("--data", "digits"), "predicts others than the data has"),
        (ALL[:2], ("--shares", "1"), "1 numbers for 2 members"),
        (("classifier/one", "classifier/none"), (), "No run"),
    ],
)
def test_what_does_not_fit_says_so(
    names: tuple[str, ...], words: tuple[str, ...], message: str, members: Path, shapes_npz: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert ensemble(members, shapes_npz, tmp_path, *words, names=names) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "ensemble").exists()


def test_members_that_do_not_classify_are_refused(
    trained: Path, shapes_npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(trained, tmp_path / "other")
    words = ["--members", f"{trained},{other}", "--data", str(shapes_npz), "--threads", "1", "--runs", str(tmp_path)]
    assert main(["train", "ensemble", *words]) == 2
    assert "no probabilities to average" in capsys.readouterr().err
