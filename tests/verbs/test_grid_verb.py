"""`grid`: planes, traversals and classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from double_technique import decode
from PIL import Image

from dlkit.cli.main import main
from dlkit.decoding import Decoder
from dlkit.display import Display
from dlkit.plane import code_ranges


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """The codes that were decoded."""
    found: list[torch.Tensor] = []
    real = Decoder.images

    def images(self: Decoder, codes: torch.Tensor) -> torch.Tensor:
        found.append(codes)
        return real(self, codes)

    monkeypatch.setattr(Decoder, "images", images)
    return found


def told(capsys: Any) -> Any:
    return json.loads(capsys.readouterr().out)


def training_codes(run: Any, shapes_npz: Path, units: int) -> torch.Tensor:
    with np.load(shapes_npz) as file:
        images = torch.from_numpy(file["images"][file["split"] == "train"]).float() / 255
    return torch.stack([part.mean(1) for part in images.flatten(1).chunk(units, 1)], 1) * 4


def test_a_plane_over_a_range(make: Any, seen: list[torch.Tensor], capsys: Any, tmp_path: Path) -> None:
    run = make(can="encode,decode")
    out = tmp_path / "plane.png"
    words = ["grid", str(run.path), "--range", "0,20,-1,1", "--size", "3", "--out", str(out), "--json"]
    assert main(words) == 0
    expected = {"run": str(run.path), "picture": str(out), "kind": "plane", "size": 3, "ranges": [[0, 20], [-1, 1]]}
    assert told(capsys) == expected
    assert seen[0].tolist() == [[x, y] for y in (1, 0, -1) for x in (0, 10, 20)]
    assert Image.open(out).size[0] > 300
    assert main(words) == 2
    assert "nothing is overwritten" in capsys.readouterr().err


def test_by_default_a_plane_is_where_the_training_codes_are(make: Any, shapes_npz: Path, capsys: Any) -> None:
    run = make(can="encode,decode")
    assert main(["grid", str(run.path), "--json"]) == 0
    answer = told(capsys)
    assert answer["picture"] == str(run.path / "grids" / "001" / "grid.png")
    assert (answer["kind"], answer["size"]) == ("plane", 20)
    expected = code_ranges(training_codes(run, shapes_npz, 2))
    np.testing.assert_allclose(answer["ranges"], expected, rtol=1e-5)


def test_larger_codes_are_traversed_around_an_image(
    make: Any, shapes_npz: Path, seen: list[torch.Tensor], capsys: Any, tmp_path: Path
) -> None:
    run = make(can="encode,decode", units=4)
    pixels = np.random.default_rng(0).integers(0, 255, (8, 8), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "i.png")
    words = ["grid", str(run.path), "--units", "2", "--size", "5", "--image", str(tmp_path / "i.png"), "--json"]
    assert main(words) == 0
    answer = told(capsys)
    codes = training_codes(run, shapes_npz, 4)
    order = codes.var(0).argsort(descending=True)[:2].tolist()
    assert (answer["kind"], answer["units"], answer["size"]) == ("traversals", order, 5)
    own = torch.from_numpy(pixels).float().div(255).flatten().chunk(4)
    code = torch.stack([part.mean() for part in own]) * 4
    varied = seen[0].view(2, 5, 4)
    for row, unit in enumerate(order):
        low, high = code_ranges(codes)[unit]
        torch.testing.assert_close(varied[row, :, unit], torch.linspace(low, high, 5))
        others = [each for each in range(4) if each != unit]
        torch.testing.assert_close(varied[row][:, others], code[others].expand(5, 3))
    torch.testing.assert_close(seen[1][0], code)


def test_one_range_is_that_of_every_unit(make: Any, seen: list[torch.Tensor], capsys: Any) -> None:
    run = make(can="encode,decode", units=3)
    assert main(["grid", str(run.path), "--range", "-1,1", "--size", "3", "--units", "9", "--json"]) == 0
    assert told(capsys)["ranges"] == [[-1, 1]] * 3
    assert {float(value) for value in seen[0].view(3, 3, 3)[0, :, 0]} <= {-1, 0, 1} or len(seen[0]) == 9


def test_without_codes_there_is_a_row_for_each_class(make: Any, capsys: Any) -> None:
    run = make(can="generate,condition")
    assert main(["grid", str(run.path), "--size", "4", "--seed", "3", "--json"]) == 0
    answer = told(capsys)
    assert (answer["kind"], answer["classes"], answer["size"]) == ("classes", ["down", "across", "square"], 4)
    assert Path(answer["picture"]).is_file()


@pytest.mark.parametrize(
    ("can", "words", "code", "said"),
    [
        ("encode", [], 2, "neither encodes and decodes nor generates images of classes"),
        ("generate", [], 2, "neither encodes and decodes nor generates images of classes"),
        ("encode,decode", ["--range", "1"], 2, "--range '1' is not LOW,HIGH"),
        ("encode,decode", ["--range", "3,-3"], 2, "--range '3,-3' is not LOW,HIGH"),
        ("encode,decode", ["--range", "0,nan"], 2, "is not LOW,HIGH"),
        ("encode,decode", ["--image", "gone.png"], 3, "There is no image 'gone.png'"),
        ("encode,decode", ["--size", "1"], 2, "'--size'"),
        ("encode,decode", ["--out", "x.jpg"], 2, "'x.jpg' is not the name of a .png file"),
    ],
)
def test_what_cannot_be_drawn_is_said(make: Any, can: str, words: list[str], code: int, said: str, capsys: Any) -> None:
    run = make(can=can)
    assert main(["grid", str(run.path), *words]) == code
    assert said in capsys.readouterr().err
    assert not (run.path / "grids").exists()


def test_four_numbers_are_for_two_units(make: Any, capsys: Any) -> None:
    run = make(can="encode,decode", units=3)
    assert main(["grid", str(run.path), "--range", "0,1,0,1"]) == 2
    assert "--range has 4 numbers; a code of 3 units takes two" in capsys.readouterr().err


def test_the_decoder_is_the_techniques(make: Any) -> None:
    run = make(can="encode,decode")
    codes = torch.randn(7, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Decoder(run, Display(quiet=True)).images(codes), decode(codes, run.spec))
