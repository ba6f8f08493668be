"""`generate`: images repeat from the seed, few are the first of many, and classes are as wanted."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dlkit.cli.main import main
from dlkit.data import load_data
from dlkit.options import DataOptions


def read(folder: Path) -> np.ndarray:
    files = sorted(path for path in folder.glob("*.png") if path.name != "sheet.png")
    return np.stack([np.asarray(Image.open(path)) for path in files])


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def generated(run: Any, *words: str) -> Path:
    out = run.path.parent / f"out-{len(list(run.path.parent.iterdir()))}"
    assert main(["generate", str(run.path), *words, "--out", str(out), "--quiet"]) == 0
    return out


def test_few_are_the_first_of_many_and_another_seed_gives_others(make: Any) -> None:
    run = make(can="generate")
    few, many = read(generated(run, "-n", "10")), read(generated(run, "-n", "130"))
    assert (len(few), len(many)) == (10, 130)
    np.testing.assert_array_equal(few, many[:10])
    assert len(np.unique(many.reshape(130, -1), axis=0)) == 130  # no chunk repeats another
    np.testing.assert_array_equal(read(generated(run, "-n", "70")), many[:70])
    again, other = read(generated(run, "-n", "10", "--seed", "0")), read(generated(run, "-n", "10", "--seed", "1"))
    np.testing.assert_array_equal(again, few)
    assert (other != few).any(axis=(1, 2)).all()


def test_the_manifest_is_data(make: Any) -> None:
    run = make()
    out = generated(run, "-n", "30", "--seed", "5")
    told = rows(out)
    assert [row["image_path"] for row in told] == [f"{number:05d}.png" for number in range(30)]
    assert {(row["seed"], row["run"]) for row in told} == {("5", run.name)}
    names = run.spec.classes
    marks = np.rint(read(out)[:, 0, 0] / 25.5).astype(int)
    assert [row["label"] for row in told] == [names[mark] for mark in marks]
    assert set(marks) == {0, 1, 2}  # in the proportions of the training images, which are even
    data = load_data(DataOptions(data=str(out / "manifest.csv")))
    assert set(data.spec.classes) == set(names)
    assert sum(len(split) for split in data.splits) == 30


@pytest.mark.parametrize("wanted", ["across", "1"])
def test_one_class_by_name_or_number(make: Any, wanted: str, capsys: Any) -> None:
    run = make()
    assert main(["generate", str(run.path), "-n", "70", "--class", wanted, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    folder = run.path / "generated" / "001"
    assert told == {
        "run": str(run.path), "folder": str(folder), "images": 70, "seed": 0, "class": "across",
        "sheet": str(folder / "sheet.png"), "manifest": str(folder / "manifest.csv"),
    }  # fmt: skip
    assert {row["label"] for row in rows(folder)} == {"across"}
    np.testing.assert_array_equal(np.rint(read(folder)[:, 0, 0] / 25.5), 1)
    assert (folder / "sheet.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("can", "words", "said"),
    [
        ("encode", [], ["A run of double does not generate.", "Techniques that generate: "]),
        ("generate", ["--class", "1"], ["cannot be told which class", "Techniques that generate and condition: "]),
        ("generate,condition", ["--class", "acros"], ["no class 'acros'; there are down, across, square", "'across'?"]),
        ("generate,condition", ["--class", "3"], ["There is no class '3'"]),
        ("generate", ["-n", "0"], ["'-n'"]),
    ],
)
def test_what_cannot_be_generated_is_said(make: Any, can: str, words: list[str], said: list[str], capsys: Any) -> None:
    run = make(can=can)
    assert main(["generate", str(run.path), *words]) == 2
    err = capsys.readouterr().err
    assert all(each in err for each in said), err
    assert not (run.path / "generated").exists()


def test_pixels_that_are_no_numbers_are_an_error(make: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    run = make(can="generate")
    monkeypatch.setattr(
        "double_technique.Double.generate", lambda self, count, generator: torch.full((count, 1, 8, 8), torch.nan)
    )
    assert main(["generate", str(run.path)]) == 1
    assert "not finite" in capsys.readouterr().err
    assert not (run.path / "generated").exists()
