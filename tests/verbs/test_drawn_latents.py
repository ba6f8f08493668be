"""Techniques that make images of noise: generate, decode, morph and grid speak of the same latents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from double_technique import decode
from PIL import Image
from scipy import stats

import dlkit
from dlkit.cli.main import main
from dlkit.generation import truncated
from dlkit.morphing import code_path


def pixels(paths: Any) -> np.ndarray:
    return np.stack([np.asarray(Image.open(path)) for path in paths])


def test_truncation_gives_the_truncated_normal_and_keeps_the_order() -> None:
    drawn = torch.randn(20_000, generator=torch.Generator().manual_seed(0))
    cut = truncated(drawn, 0.7)
    assert stats.kstest(cut.numpy(), stats.truncnorm(-0.7, 0.7).cdf).pvalue > 0.01
    assert bool((cut[drawn.argsort()].diff() >= 0).all())
    assert float(cut.abs().max()) <= 0.7
    torch.testing.assert_close(truncated(drawn, 9.0), drawn, atol=1e-5, rtol=1e-5)
    assert truncated(torch.tensor([40.0, -40.0]), 2.0).tolist() == [2.0, -2.0]


def test_what_is_generated_can_be_decoded_again(make: Any, tmp_path: Path) -> None:
    run = make(can="generate,draw", units=3)
    out = tmp_path / "out"
    assert main(["generate", str(run.path), "-n", "70", "--out", str(out), "--quiet"]) == 0
    assert main(["decode", str(run.path), str(out / "codes.npz"), "--out", str(tmp_path / "again"), "--quiet"]) == 0
    names = [f"{number:05d}.png" for number in range(70)]
    made, again = ([folder / name for name in names] for folder in (out, tmp_path / "again"))
    np.testing.assert_array_equal(pixels(made), pixels(again))
    codes = torch.from_numpy(np.load(out / "codes.npz")["codes"])
    expected = (decode(codes, run.spec) * 255).round().byte().squeeze(1).numpy()
    np.testing.assert_array_equal(pixels(made), expected)


def test_truncation_keeps_the_same_images_but_nearer_to_the_middle(make: Any, tmp_path: Path) -> None:
    run = make(can="generate,draw", units=3)
    words = ["generate", str(run.path), "-n", "66", "--quiet"]
    assert main([*words, "--out", str(tmp_path / "all")]) == 0
    assert main([*words, "--out", str(tmp_path / "cut"), "--truncation", "0.5"]) == 0
    whole, cut = (np.load(tmp_path / name / "codes.npz")["codes"] for name in ("all", "cut"))
    np.testing.assert_allclose(cut, truncated(torch.from_numpy(whole), 0.5), atol=1e-6)
    manifest = (tmp_path / "cut" / "manifest.csv").read_text().splitlines()
    assert manifest[0] == "image_path,seed,truncation,run"
    assert manifest[1].startswith("00000.png,0,0.5,")
    found = dlkit.load(run.path).generate(66, truncation=0.5)
    torch.testing.assert_close(found, decode(torch.from_numpy(cut), run.spec))


def test_a_path_between_two_generated_images(make: Any, tmp_path: Path) -> None:
    run = make(can="generate,draw", units=3)
    assert main(["generate", str(run.path), "-n", "70", "--seed", "4", "--out", str(tmp_path / "out"), "--quiet"]) == 0
    codes = torch.from_numpy(np.load(tmp_path / "out" / "codes.npz")["codes"])
    words = ["morph", str(run.path), "3", "69", "--seed", "4", "--steps", "5", "--path", "spherical", "--json"]
    assert main([*words, "--out", str(tmp_path / "morph")]) == 0
    assert (tmp_path / "morph" / "spherical.gif").is_file()
    at_seed_0 = dlkit.load(run.path).generate(70)
    path = dlkit.load(run.path).morph(3, 69, steps=5, path="spherical")
    torch.testing.assert_close(path[[0, -1]], at_seed_0[[3, 69]])
    with Image.open(tmp_path / "morph" / "spherical.gif") as gif:
        first = np.asarray(gif.convert("L"))[:: gif.size[1] // 8, :: gif.size[0] // 8]
    expected = decode(code_path(codes[3], codes[69], 5, "spherical"), run.spec)[0, 0] * 255
    assert np.abs(first.astype(float) - expected.numpy()).max() < 3


def test_classes_are_told(make: Any, tmp_path: Path, capsys: Any) -> None:
    run = make(can="generate,draw,condition", units=3)
    code = ["decode", str(run.path), "--code", "1,2,3"]
    assert main(code) == 2
    assert "Name a class with --class" in capsys.readouterr().err
    assert main([*code, "--class", "2", "--out", str(tmp_path / "x.png"), "--quiet"]) == 0
    assert pixels([tmp_path / "x.png"])[0, 0, 0] == round(255 * 0.2)
    assert main(["morph", str(run.path), "0", "1", "--class", "1", "--out", str(tmp_path / "m"), "--quiet"]) == 0
    capsys.readouterr()
    assert main(["grid", str(run.path), "--out", str(tmp_path / "g.png"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "classes"


def test_a_file_tells_what_its_images_were_told(make: Any, tmp_path: Path, capsys: Any) -> None:
    run = make(can="generate,draw,condition", units=3)
    out = tmp_path / "out"
    assert main(["generate", str(run.path), "-n", "30", "--out", str(out), "--quiet"]) == 0
    words = ["decode", str(run.path), str(out / "codes.npz"), "--quiet", "--out"]
    assert main([*words, str(tmp_path / "again")]) == 0
    names = [f"{number:05d}.png" for number in range(30)]
    made, again = ([folder / name for name in names] for folder in (out, tmp_path / "again"))
    np.testing.assert_array_equal(pixels(made), pixels(again))
    assert main([*words, str(tmp_path / "ones"), "--class", "1"]) == 0
    assert set(pixels(tmp_path / "ones" / name for name in names)[:, 0, 0]) == {round(25.5)}
    arrays = dict(np.load(out / "codes.npz"))
    np.savez(tmp_path / "odd.npz", codes=arrays["codes"], labels=arrays["labels"] + 9)
    capsys.readouterr()
    assert main(["decode", str(run.path), str(tmp_path / "odd.npz")]) == 2
    assert "labels are not those of" in capsys.readouterr().err
    found = dlkit.load(run.path).decode(torch.from_numpy(arrays["codes"]), label="2")
    torch.testing.assert_close(found[:, 0, 0, 0], torch.full((30,), 0.2))


def test_what_lies_between_four_images(make: Any, tmp_path: Path, capsys: Any) -> None:
    run = make(can="generate,draw", units=3)
    assert main(["grid", str(run.path), "--size", "4", "--out", str(tmp_path / "g.png"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["size"]) == ("corners", 4)
    assert (tmp_path / "g.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("can", "words", "said"),
    [
        ("generate", ["generate", "--truncation", "1"], "does not draw"),
        ("generate,draw", ["morph", "a.png", "b.png"], "numbers of images that `dlkit generate` makes"),
        ("encode,decode", ["morph", "a.png", "b.png", "--seed", "1"], "are about generated images"),
        ("generate,draw", ["grid", "--range", "0,1"], "are about codes of images"),
        ("generate,draw", ["decode", "--code", "1,2"], "The codes have 2 numbers"),
    ],
)
def test_what_cannot_be(make: Any, can: str, words: list[str], said: str, capsys: Any) -> None:
    run = make(can=can, units=3)
    assert main([words[0], str(run.path), *words[1:]]) == 2
    error = capsys.readouterr().err
    assert said in error
