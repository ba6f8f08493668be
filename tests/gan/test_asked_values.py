"""A network that was told numbers: each verb that makes images can be asked for some."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import dlkit
from dlkit import session
from dlkit.cli.main import main
from dlkit.data import load_data
from dlkit.errors import DataError, UsageError
from dlkit.options import DataOptions
from dlkit.technique import Draws

AGES = {"age": 4.0, "size": 3.5}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty images of noise, each with an age and a size."""
    path = tmp_path_factory.mktemp("data") / "data.npz"
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (40, 8, 8)).astype(np.uint8)
    np.savez(path, images=images, labels=random.normal(5, 2, (40, 2)), classes=np.array(["age", "size"]))
    return path


@pytest.fixture(scope="module")
def model(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dlkit.Model:
    runs = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "save_pictures", lambda *_: None)
        return dlkit.train("cgan", data=data, width=4, latent=4, net="mlp", batch_size=8, epochs=1, threads=1,
                           runs=runs)  # fmt: skip


def pixels(folder: Path) -> NDArray[np.uint8]:
    return np.stack([np.array(Image.open(path)) for path in sorted(folder.glob("0*.png"))])


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_generate(model: dlkit.Model, tmp_path: Path) -> None:
    words = ["generate", str(model.run.path), "-n", "5", "--quiet"]
    assert main([*words, "--with", "size=3.5", "--out", str(tmp_path / "out")]) == 0
    told = rows(tmp_path / "out")
    assert list(told[0])[:3] == ["image_path", "age", "size"]
    assert {row["size"] for row in told} == {"3.5"}
    assert len({row["age"] for row in told}) > 1
    assert main([*words, "--with", "siz=3"]) == 2
    assert main([*words, "--with", "size=large"]) == 2
    assert main([*words, "--with", "size"]) == 2
    assert main([*words, "--with", "size=1", "--with", "size=2"]) == 2
    assert main([*words, "--class", "1"]) == 2


def test_decode_says_again_what_the_file_does_not(
    model: dlkit.Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(model.run.path)
    assert main(["generate", run, "-n", "6", "--out", str(tmp_path / "any"), "--quiet"]) == 0
    assert main(["generate", run, "-n", "6", "--with", "size=9", "--out", str(tmp_path / "made"), "--quiet"]) == 0
    again = ["decode", run, str(tmp_path / "any" / "codes.npz"), "--quiet"]
    assert main([*again, "--with", "size=9", "--out", str(tmp_path / "told")]) == 0
    assert main([*again, "--out", str(tmp_path / "plain")]) == 0
    np.testing.assert_array_equal(pixels(tmp_path / "told"), pixels(tmp_path / "made"))
    np.testing.assert_array_equal(pixels(tmp_path / "plain"), pixels(tmp_path / "any"))
    assert np.any(pixels(tmp_path / "told") != pixels(tmp_path / "plain"))
    capsys.readouterr()
    assert main(["decode", run, "--code", "0,0,0,0", "--with", "size=9"]) == 2
    assert "what age is to be" in capsys.readouterr().err
    assert main(["decode", run, "--code", "0,0,0,0"]) == 2
    assert "--with" in capsys.readouterr().err
    typed = ["decode", run, "--code", "0,0,0,0", "--with", "size=9", "--with", "age=1", "--quiet"]
    assert main([*typed, "--out", str(tmp_path / "one.png")]) == 0


def test_morph_keeps_what_was_asked_for(model: dlkit.Model, tmp_path: Path) -> None:
    path = model.morph(0, 1, steps=3, path="spherical", values=AGES)
    torch.testing.assert_close(path[[0, 2]], model.generate(2, values=AGES))
    code = torch.zeros(1, 4)
    assert isinstance(model.technique, Draws)
    expected = model.technique.decode(code, torch.tensor([[4.0, 3.5]]))
    torch.testing.assert_close(model.decode(code, values=AGES), expected)
    words = ["morph", str(model.run.path), "0", "1", "--steps", "3", "--quiet"]
    assert main([*words, "--with", "size=9", "--out", str(tmp_path / "nine")]) == 0
    assert main([*words, "--out", str(tmp_path / "plain")]) == 0
    strips = [(tmp_path / name / "strip.png").read_bytes() for name in ("nine", "plain")]
    assert strips[0] != strips[1]
    assert main([*words[:2], "a.png", "b.png", "--with", "size=9"]) == 2
    with pytest.raises(UsageError, match="about generated images"):
        model.morph("a.png", "b.png", values=AGES)


def test_grid_keeps_what_was_asked_for(model: dlkit.Model, tmp_path: Path) -> None:
    words = ["grid", str(model.run.path), "--size", "2", "--quiet"]
    assert main([*words, "--with", "size=9", "--out", str(tmp_path / "nine.png")]) == 0
    assert main([*words, "--out", str(tmp_path / "plain.png")]) == 0
    assert (tmp_path / "nine.png").read_bytes() != (tmp_path / "plain.png").read_bytes()
    assert main([*words, "--class", "1"]) == 2


def test_images_are_added_with_the_numbers_that_they_were_told(
    model: dlkit.Model, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(model.run.path)
    assert main(["generate", run, "-n", "5", "--out", str(tmp_path / "made"), "--quiet"]) == 0
    assert main(["augment", str(data), "--from", run, "-n", "5", "--out", str(tmp_path / "more"), "--quiet"]) == 0
    added = [row for row in rows(tmp_path / "more") if row["origin"] == "generated"]
    for row, made in zip(added, rows(tmp_path / "made"), strict=True):
        assert float(row["age"]) == pytest.approx(float(made["age"]), rel=1e-5)
        assert float(row["size"]) == pytest.approx(float(made["size"]), rel=1e-5)
    assert main(["augment", "digits", "--from", run, "-n", "5", "--out", str(tmp_path / "digits")]) == 0
    assert "added without any" in capsys.readouterr().err
    assert {row["label"] for row in rows(tmp_path / "digits") if row["origin"] == "generated"} == {""}


def test_labels_and_numbers_together_but_no_names(tmp_path: Path) -> None:
    lines = ["image_path,smiling,age,kind"]
    for number in range(20):
        Image.new("L", (8, 8), 12 * number).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{number % 2},{20 + number},{'cat' if number % 3 else 'dog'}")
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    found = load_data(DataOptions(data=str(tmp_path), label=("smiling", "age")))
    assert (found.spec.target, found.spec.classes) == ("number", ("smiling", "age"))
    with pytest.raises(DataError, match="expected a number") as told:
        load_data(DataOptions(data=str(tmp_path), label=("kind", "age")))
    assert "a column of 0 and 1 for each" in str(told.value.hint)
