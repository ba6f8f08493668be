"""`dlkit augment --from`: images of a run, of which classes and how labelled; and what they are worth."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import dlkit
from dlkit.cli.main import main
from dlkit.data import load_data
from dlkit.options import DataOptions
from dlkit.run import Run


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory, shapes_npz: Path, generator: Run) -> Path:
    """The shapes with 70 generated images of each class."""
    out = tmp_path_factory.mktemp("larger") / "larger"
    words = ["augment", str(shapes_npz), "--from", str(generator.path), "--per-class", "70", "--out", str(out)]
    assert main([*words, "--quiet"]) == 0
    return out


def test_each_class_gets_as_many_and_only_train(larger: Path, shapes_npz: Path) -> None:
    plain, data = load_data(DataOptions(data=str(shapes_npz))), load_data(DataOptions(data=str(larger)))
    assert dict(data.spec.counts) == {**plain.spec.counts, "train": plain.spec.counts["train"] + 210}
    before = dict(zip(plain.spec.classes, plain.spec.class_counts["train"], strict=True))
    now = dict(zip(data.spec.classes, data.spec.class_counts["train"], strict=True))
    assert now == {name: count + 70 for name, count in before.items()}
    assert not [notice for notice in data.notices if "columns" in notice.lower()]


def test_the_manifest_says_how_to_generate_them_again(larger: Path, generator: Run, tmp_path: Path) -> None:
    made = [row for row in rows(larger) if row["origin"] == "generated" and row["label"] == "square"]
    assert {row["source"] for row in made} == {str(generator.path)}
    (seed,) = {row["seed"] for row in made}
    assert [json.loads(row["parameters"]) for row in made] == [{"number": k, "class": "square"} for k in range(70)]
    words = ["generate", str(generator.path), "--class", "square", "--seed", seed, "-n", "70"]
    assert main([*words, "--out", str(tmp_path / "again"), "--quiet"]) == 0
    for number, row in enumerate(made):
        kept, again = larger / row["image_path"], tmp_path / "again" / f"{number:05d}.png"
        assert np.array_equal(np.array(Image.open(kept)), np.array(Image.open(again)))


def test_a_run_without_classes_adds_images_without_labels(
    tmp_path: Path, shapes_npz: Path, capsys: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run = dlkit.train("vae", data=shapes_npz, layers="16", code=4, epochs=1, threads=1, runs=tmp_path).run
    words = ["augment", str(shapes_npz), "--from", str(run.path), "--out", str(tmp_path / "out")]
    assert main([*words, "--per-class", "5"]) == 2
    told = capsys.readouterr().err
    assert "cannot be told which class" in told
    assert "-n N" in told
    assert main(words) == 2
    assert main([*words, "-n", "9"]) == 0
    assert "told no labels" in capsys.readouterr().err
    data = load_data(DataOptions(data=str(tmp_path / "out")))
    assert data.train.labels is not None
    assert int((data.train.labels < 0).sum()) == 9
    run = dlkit.train(
        "classifier", data=tmp_path / "out", net="mlp", layers="8", epochs=1, threads=1, runs=tmp_path
    ).run
    assert main(["evaluate", str(run.path), "--without", "generated", "--seeds", "2"]) == 3
    assert "the same" in capsys.readouterr().err


def test_so_many_altogether_have_the_classes_that_the_run_gives(
    generator: Run, shapes_npz: Path, tmp_path: Path
) -> None:  # fmt: skip
    words = ["augment", str(shapes_npz), "--from", str(generator.path), "-n", "9", "--out", str(tmp_path / "out")]
    assert main([*words, "--quiet"]) == 0
    made = [row for row in rows(tmp_path / "out") if row["origin"] == "generated"]
    assert {row["label"] for row in made} <= {"down", "across", "square"}
    assert [row["image_path"] for row in made] == [f"train/generated-{k:05d}.png" for k in range(9)]


def test_other_sizes_and_other_splits_are_told(generator: Run, tmp_path: Path, capsys: Any) -> None:
    random = np.random.default_rng(0)
    for name in ("down", "across", "square"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(10):
            image = random.integers(0, 256, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(image).save(tmp_path / "data" / name / f"{number}.png")
    words = ["augment", str(tmp_path / "data"), "--from", str(generator.path), "--per-class", "2"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().err
    assert "12x12" in told
    assert "too good" in told
    assert load_data(DataOptions(data=str(tmp_path / "out"))).spec.shape == (3, 12, 12)
    (tmp_path / "data" / "down").rename(tmp_path / "data" / "round")
    assert main([*words, "--out", str(tmp_path / "other")]) == 2
    assert "does not know the classes round" in capsys.readouterr().err


def test_with_and_without_over_seeds(larger: Path, tmp_path: Path, capsys: Any) -> None:
    run = dlkit.train("classifier", data=larger, net="mlp", layers="8", epochs=1, threads=1, runs=tmp_path).run
    words = ["evaluate", str(run.path), "--without", "generated", "--seeds", "2", "--json"]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["runs"]) == 4
    assert told["runs"][0] == str(run.path)  # not trained again
    (table,) = told["tables"]
    plain = dlkit.train("classifier", data=larger, without="generated", net="mlp", layers="8", epochs=1, threads=1,
                        seed=1, runs=tmp_path)  # fmt: skip
    assert plain.run.spec.counts["train"] == 64
    accuracy = plain.metrics.get("accuracy", "test").value
    assert table["rows"][1]["without"] == accuracy
    for row in table["rows"]:
        assert row["difference"] == pytest.approx(row["with"] - row["without"])
    means = [row for row in told["metrics"] if row["name"] == "accuracy"]
    assert means[0]["baselines"] == {"without generated images": pytest.approx(table["rows"][2]["without"])}
    assert "210 of them generated" in means[0]["note"]
    assert "-0." not in told["verdict"]  # a minus, as in tables
    runs = sorted(path.name for path in (run.path / "comparisons" / "classifier").iterdir())
    assert main(words) == 0  # all are there
    assert sorted(path.name for path in (run.path / "comparisons" / "classifier").iterdir()) == runs
    assert main(["evaluate", str(run.path), "--without", "augmented"]) == 3
    assert "no augmented training images" in capsys.readouterr().err
