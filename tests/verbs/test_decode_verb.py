"""`encode --bits` and `decode`: what comes back is what the technique makes of the codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dlkit.cli.main import main
from dlkit.codes import read_codes, write_codes
from dlkit.display import Display
from dlkit.errors import DataError
from dlkit.run import open_run

QUIET = Display(quiet=True)


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "runs" / "autoencoder" / trained.name))


def test_codes_are_written_under_no_other_name_than_theirs(run: Path, tmp_path: Path, capsys: Any) -> None:
    assert main(["encode", str(run), "--out", str(tmp_path / "codes.csv")]) == 2
    assert "is not the name of a .npz file" in capsys.readouterr().err
    assert not (tmp_path / "codes.csv").exists()


def decoded(run: Path, codes: np.ndarray | torch.Tensor) -> np.ndarray:
    """Eight-bit pixels, without any of the code under test."""
    technique: Any = open_run(str(run)).load_technique()
    with torch.no_grad():
        return (technique.decode(torch.as_tensor(codes)) * 255).round().clamp(0, 255).byte()[:, 0].numpy()


def png(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.parametrize("bits", [1, 5, 8, 16])
def test_codes_in_few_bits_come_back_within_half_a_step(trained: Path, tmp_path: Path, bits: int) -> None:
    run = open_run(str(trained))
    write_codes(run, tmp_path / "exact.npz", QUIET)
    told = write_codes(run, tmp_path / "few.npz", QUIET, bits=bits)
    assert (told["bits"], told["size"], told["images"]) == (bits, 6, 96)
    assert told["bytes_per_image"] == -(-6 * bits // 8)
    exact = read_codes(tmp_path / "exact.npz").values
    with np.load(tmp_path / "few.npz", allow_pickle=False) as file:
        assert {"packed", "bits", "low", "step", "split", "labels", "classes"} == set(file.files)
        low, step = file["low"], file["step"]
        train = exact[file["split"] == "train"]
    np.testing.assert_allclose(low, train.min(0), rtol=1e-6)
    np.testing.assert_allclose(low + step * 2**bits, train.max(0), rtol=1e-5)
    few = read_codes(tmp_path / "few.npz").values
    inside = (exact >= train.min(0)) & (exact <= train.max(0))
    assert told["outside"] == pytest.approx(1 - inside.mean())
    assert (np.abs(few - exact)[inside] <= (np.broadcast_to(step / 2, exact.shape) + 1e-6)[inside]).all()
    assert told["stored_bytes_per_image"] * 96 <= told["bytes_per_image"] * 96 + 128  # numpy's header


def test_a_file_of_codes_becomes_images(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    codes = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    names = np.array(["a/cat.png", "b/cat.png", "dog.one.png"])
    np.savez(tmp_path / "c.npz", codes=codes, files=names)
    assert main(["decode", str(run), str(tmp_path / "c.npz"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    folder = run / "decoded" / "001"
    assert told == {
        "run": str(run),
        "folder": str(folder),
        "images": 3,
        "files": ["cat.png", "cat-2.png", "dog.one.png"],
    }
    np.testing.assert_array_equal([png(folder / name) for name in told["files"]], decoded(run, codes))
    assert main(["decode", str(run), str(tmp_path / "c.npz"), "--quiet"]) == 0
    assert capsys.readouterr().out == f"Wrote 3 images to {run / 'decoded' / '002'}\n"


def test_images_without_files_are_numbered_in_their_split(run: Path, tmp_path: Path, capsys: Any) -> None:
    few, out = str(tmp_path / "few.npz"), tmp_path / "out"
    assert main(["encode", str(run), "--bits", "4", "--out", few]) == 0
    assert "3 bytes per image" in capsys.readouterr().out
    assert main(["decode", str(run), few, "--out", str(out)]) == 0
    names = sorted(path.name for path in out.iterdir())
    assert (len(names), names[0], names[-1]) == (96, "test-00000.png", "val-00015.png")
    np.testing.assert_array_equal(png(out / "val-00002.png"), decoded(run, read_codes(Path(few)).values[66:67])[0])
    assert main(["decode", str(run), few, "--out", str(out)]) == 2
    assert "exists, and nothing is overwritten" in capsys.readouterr().err


def test_typed_codes(run: Path, tmp_path: Path, capsys: Any) -> None:
    one, two = "20,20,0,0,0,-1.5", "-1,0,0,0,0,0"
    expected = decoded(run, torch.tensor([[20, 20, 0, 0, 0, -1.5], [-1, 0, 0, 0, 0, 0]]))
    assert main(["decode", str(run), "--code", one, "--out", str(tmp_path / "x.png")]) == 0
    np.testing.assert_array_equal(png(tmp_path / "x.png"), expected[0])
    assert main(["decode", str(run), "--code", one, "--code", two, "--out", str(tmp_path / "sheet.png")]) == 0
    assert png(tmp_path / "sheet.png").shape[1] > 100
    assert main(["decode", str(run), "--code", one, "--code", two]) == 0
    np.testing.assert_array_equal(png(run / "decoded" / "001" / "code-02.png"), expected[1])
    capsys.readouterr()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--code", "1,2,3"], 2, "The codes have 3 numbers; those of shapes-001 have 6."),
        (["--code", "1,x"], 2, "'1,x' is not a list of numbers"),
        (["--code", "1,nan"], 2, "'1,nan' is not a list of numbers"),
        (["--code", "1,2", "--code", "1"], 2, "--code '1' has 1 numbers, --code '1,2' has 2."),
        ([], 2, "either CODES.npz or --code"),
        (["x.npz", "--code", "1"], 2, "either CODES.npz or --code"),
        (["gone.npz"], 3, "There is no file 'gone.npz'"),
    ],
)
def test_what_cannot_be_decoded_is_said(run: Path, words: list[str], code: int, said: str, capsys: Any) -> None:
    assert main(["decode", str(run), *words]) == code
    assert said in capsys.readouterr().err
    assert not (run / "decoded").exists()


@pytest.mark.parametrize(
    "arrays",
    [{"x": np.zeros(3)}, {"codes": np.zeros(3)}, {"codes": np.full((1, 2), np.nan)}, {"codes": np.array([["a"]])},
     {"packed": np.zeros((1, 1), np.uint8), "bits": 8, "low": np.zeros(2), "step": np.zeros(2)},
     {"packed": np.zeros((1, 1), np.uint8), "bits": 99, "low": np.zeros(1), "step": np.zeros(1)},
     {"codes": np.zeros((2, 6)), "files": np.array(["one.png"])}],
)  # fmt: skip
def test_a_file_that_holds_no_codes_is_named(tmp_path: Path, arrays: dict[str, Any]) -> None:
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(DataError, match=r"bad\.npz' does not hold codes"):
        read_codes(tmp_path / "bad.npz")


def test_a_pickle_and_a_broken_file_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "evil.npz", codes=np.array([{}], dtype=object))
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04nothing")
    (tmp_path / "text.npz").write_text("no zip")
    for name in ("evil", "broken", "text"):
        with pytest.raises(DataError, match="does not hold codes"):
            read_codes(tmp_path / f"{name}.npz")


def test_a_run_that_does_not_decode_names_those_that_do(run: Path, capsys: Any) -> None:
    config = (run / "config.toml").read_text()
    config = config.replace('net = "dense"', 'net = "conv"').replace('upsample = "transposed"', 'upsample = "unpool"')
    (run / "config.toml").write_text(config)
    assert main(["decode", str(run), "--code", "1"]) == 2
    err = capsys.readouterr().err
    assert "A run of autoencoder does not decode." in err
    assert "Techniques that decode: autoencoder" in err
