"""`morph`: paths that begin and end where they should, and keep their lengths and angles."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from double_technique import decode
from PIL import Image

from dlkit.cli.main import main
from dlkit.morphing import angle, code_path, write_gif


@pytest.mark.parametrize("size", [2, 3, 40])
def test_a_spherical_path_turns_at_constant_speed_and_its_length_changes_evenly(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    a, b = torch.randn(size, generator=generator), 3 * torch.randn(size, generator=generator)
    path = code_path(a, b, 9, "spherical").double()
    norms = torch.linspace(float(a.norm()), float(b.norm()), 9, dtype=torch.float64)
    torch.testing.assert_close(path.norm(dim=1), norms, rtol=1e-5, atol=1e-6)
    whole = math.acos(float(a.double() @ b.double() / a.double().norm() / b.double().norm()))
    turned = [angle(a, code) for code in path]
    assert turned == pytest.approx([whole * step / 8 for step in range(9)], abs=2e-3)  # acos is steep near 1
    assert torch.linalg.matrix_rank(path, atol=1e-4) == 2  # it stays in the plane of a and b


def test_a_quarter_turn_by_hand() -> None:
    path = code_path(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0]), 3, "spherical")
    half = math.sqrt(0.5) * 1.5
    torch.testing.assert_close(path, torch.tensor([[1, 0], [half, half], [0, 2.0]]))


def test_a_straight_path() -> None:
    path = code_path(torch.tensor([1.0, -2.0]), torch.tensor([3.0, 2.0]), 5, "linear")
    torch.testing.assert_close(path, torch.tensor([[1.0, -2], [1.5, -1], [2, 0], [2.5, 1], [3, 2]]))


@pytest.mark.parametrize("end", [[2.0, 4.0], [0.0, 0.0], [-1.0, -2.0], [1.0, 2.0]])
def test_where_no_sphere_can_be_followed_the_path_is_straight(end: list[float]) -> None:
    a, b = torch.tensor([1.0, 2.0]), torch.tensor(end)
    path = code_path(a, b, 5, "spherical")
    torch.testing.assert_close(path, code_path(a, b, 5, "linear"))
    assert path.isfinite().all()


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    random = np.random.default_rng(3)
    for name in "ab":
        Image.fromarray(random.integers(0, 255, (8, 8), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    return [str(tmp_path / "a.png"), str(tmp_path / "b.png")]


def test_a_morph_leaves_a_strip_and_gifs_whose_ends_are_the_decoded_codes(
    make: Any, pictures: list[str], capsys: Any
) -> None:
    run = make(can="encode,decode", units=3)
    assert main(["morph", str(run.path), *pictures, "--steps", "7", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    folder = run.path / "morphs" / "001"
    assert sorted(path.name for path in folder.iterdir()) == ["linear.gif", "spherical.gif", "strip.png"]
    ends = [torch.from_numpy(np.array(Image.open(path))).float().div(255)[None, None] for path in pictures]
    codes = torch.cat([run.load_technique().encode(each) for each in ends])
    assert told["distance"] == pytest.approx(float(torch.dist(codes[0], codes[1])), rel=1e-5)
    assert told["angle"] == pytest.approx(math.degrees(angle(*codes)), rel=1e-4)
    for kind in ("linear", "spherical"):
        with Image.open(folder / f"{kind}.gif") as gif:
            assert gif.n_frames == 12  # seven there, five back
            assert gif.info["loop"] == 0
            for frame, code in ((0, codes[:1]), (6, codes[1:])):
                gif.seek(frame)
                assert gif.size == (160, 160)
                shown = np.asarray(gif.convert("L"))[::20, ::20].astype(int)  # eight times twenty
                expected = (decode(code, run.spec) * 255).round()[0, 0].numpy()
                assert np.abs(shown - expected).max() <= 1


def test_one_path_into_a_folder_of_ones_own(make: Any, pictures: list[str], tmp_path: Path, capsys: Any) -> None:
    run = make(can="encode,decode")
    out = tmp_path / "m"
    words = ["morph", str(run.path), *pictures, "--path", "linear", "--steps", "2", "--out", str(out)]
    assert main(words) == 0
    assert {path.name for path in out.iterdir()} == {"linear.gif", "strip.png"}
    assert main(words) == 2
    assert "nothing is overwritten" in capsys.readouterr().err


def test_what_cannot_be_morphed_is_said(make: Any, pictures: list[str], capsys: Any) -> None:
    run = make(can="encode")
    assert main(["morph", str(run.path), *pictures]) == 2
    assert "A run of double does not decode." in capsys.readouterr().err
    run = make(can="encode,decode")
    assert main(["morph", str(run.path), pictures[0], "gone.png"]) == 3
    assert "There is no image 'gone.png'" in capsys.readouterr().err
    assert not (run.path / "morphs").exists()


def test_colours_are_kept(tmp_path: Path) -> None:
    images = torch.zeros(3, 3, 200, 100)
    images[0, 0], images[1, 1], images[2, 2] = 1, 1, 1
    write_gif(images, tmp_path / "c.gif")
    with Image.open(tmp_path / "c.gif") as gif:
        assert (gif.n_frames, gif.size) == (4, (100, 200))
        for frame, colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255)]):
            gif.seek(frame)
            assert gif.convert("RGB").getpixel((50, 50)) == colour
