"""`dlkit data`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlkit.cli.main import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["data", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_digits_as_text_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "digits")
    assert code == 0
    assert "1,797 (train 1,294, val 144, test 359)" in out
    assert "8x8, grey, float32" in out
    code, out, _ = run(capsys, "digits", "--json", "--quiet")
    found = json.loads(out)
    assert found["counts"] == {"train": 1294, "val": 144, "test": 359}
    assert [row["class"] for row in found["classes"]] == list("0123456789")
    assert found["imbalance"] == pytest.approx(131 / 125)
    assert found["mean"] == [pytest.approx(0.306, abs=1e-3)]


def test_what_is_wrong_with_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    for part, count in (("train/[b]a", 6), ("train/b", 3), ("test/b", 2)):
        (tmp_path / part).mkdir(parents=True)
        for index in range(count):
            Image.fromarray(random.integers(0, 256, (9, 9 + index, 3), dtype=np.uint8)).save(
                tmp_path / part / f"{index}.png"
            )
    (tmp_path / "train/b/9.png").write_bytes(b"no image")
    (tmp_path / "test/b/8.png").write_bytes((tmp_path / "train/b/0.png").read_bytes())
    code, out, err = run(capsys, str(tmp_path), "--val-fraction", "0")
    assert code == 0
    assert "train/b/9.png: not an image" in out
    assert "test/b/8.png (test) is train/b/0.png (train)" in out
    assert "2.00 (largest class" in out
    assert "9 high, 9 to 14 wide" in out
    assert "64x64" in err


def test_picture_is_written_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, _ = run(capsys, "digits", "--picture", "grid.png")
    assert code == 0
    with Image.open(tmp_path / "grid.png") as picture:
        assert min(picture.size) > 300
        assert np.asarray(picture.convert("L")).std() > 20
    before = (tmp_path / "grid.png").read_bytes()
    code, _, err = run(capsys, "digits", "--picture", "grid.png")
    assert code == 2
    assert "nothing is overwritten" in err
    assert "--picture" in err
    assert (tmp_path / "grid.png").read_bytes() == before
    assert run(capsys, "digits", "--picture", "grid.jpg")[0] == 2
    assert run(capsys, "digits", "--picture", "~nobody-here/grid.png")[0] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["grid.png"]


def test_picture_of_unlabelled_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "a.npz", images=np.random.default_rng(0).integers(0, 256, (5, 8, 8), dtype=np.uint8))
    assert run(capsys, str(tmp_path / "a.npz"), "--picture", str(tmp_path / "g.png"), "--json")[0] == 0
    assert (tmp_path / "g.png").is_file()


def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, str(tmp_path / "nothing"))[0] == 3
    assert run(capsys, "digits", "--image-size", "0")[0] == 2
    assert run(capsys, "digits", "--val-fraction", "2")[0] == 2
    assert run(capsys)[0] == 2


def test_help_is_light() -> None:
    code = "import sys; from dlkit.cli.main import main; main(['data', '--help']); assert 'torch' not in sys.modules"
    light = "import sys, dlkit.data, dlkit.data.names; assert not {'torch', 'numpy', 'PIL'} & set(sys.modules)"
    for program in (code, light):
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_duplicates_in_an_archive_go_by_their_index(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", images=images[[0, 1, 2, 1]], split=["train", "train", "val", "test"])
    assert "test 0 is train 1" in run(capsys, str(tmp_path / "x.npz"))[1]
    found = json.loads(run(capsys, str(tmp_path / "x.npz"), "--json", "--quiet")[1])
    assert found["duplicates"] == [{"first": ["train", 1], "second": ["test", 0]}]
