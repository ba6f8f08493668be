"""`dlkit augment --masks`: masks move with their images, keep their values, and are asked for where missing."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from dlkit.cli.main import main
from dlkit.data import load_data
from dlkit.options import DataOptions

PALETTE = [0, 0, 0, 200, 0, 0, 0, 200, 0]


def array(path: Path) -> npt.NDArray[np.int64]:
    with Image.open(path) as image:
        return np.array(image).astype(np.int64)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.*")) if path.is_file()}


@pytest.fixture
def pairs(tmp_path: Path) -> tuple[Path, Path]:
    """Grey images of black and white blobs of two sizes in two classes; masks of every kind: where they are white."""
    random = np.random.default_rng(0)
    for number in range(12):
        name = f"{'cat' if number % 2 else 'dog'}/{number}"
        white = random.random((12, 12) if number % 3 else (12, 16)) > 0.5
        for folder in ("images", "masks"):
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(white.astype(np.uint8) * 255).save(tmp_path / "images" / f"{name}.png")
        mask, suffix = Image.fromarray(white.astype(np.uint8)), ".png"
        if number % 4 == 1:
            mask, suffix = Image.fromarray(white), ".tif"
        elif number % 4 == 2:
            mask.putpalette(PALETTE)
        elif number % 4 == 3:
            mask = Image.fromarray(white.astype(np.uint16) * 1000)
        mask.save(tmp_path / "masks" / f"{name}{suffix}")
    return tmp_path / "images", tmp_path / "masks"


def command(pairs: tuple[Path, Path], out: Path, *words: str, policy: str = "flip") -> list[str]:
    return ["augment", str(pairs[0]), "--masks", str(pairs[1]), "--augment", policy, "--out", str(out), "--quiet",
            *words]  # fmt: skip


@pytest.mark.parametrize("policy", ["flip flip:vertical@0.5", "rotate:90..90", "translate:0.25"])
def test_masks_stay_where_their_images_are(pairs: tuple[Path, Path], tmp_path: Path, policy: str) -> None:
    out = tmp_path / "out"
    before = contents(pairs[1])
    assert main(command(pairs, out, "--copies", "2", policy=policy)) == 0
    assert contents(pairs[1]) == before
    written, moved = rows(out), 0
    for row in written:
        image, mask = array(out / row["image_path"]), array(out / row["mask"])
        seen = (image > 0) & (image < 255)  # between pixels an image is interpolated, and a mask is not
        assert np.array_equal((mask != 0)[~seen], (image == 255)[~seen])
        assert set(np.unique(mask)) <= {0, 1, 1000}
        moved += row["origin"] == "augmented" and not np.array_equal(image, array(Path(row["source"])))
    assert moved > 0
    data = load_data(DataOptions(data=str(out)))
    assert data.spec.classes == ("cat", "dog")
    assert sum(data.spec.counts.values()) == len(written)


def test_masks_keep_their_kind_and_values(pairs: tuple[Path, Path], tmp_path: Path) -> None:
    assert main(command(pairs, tmp_path / "out", "--copies", "1")) == 0
    kinds = set()
    for row in rows(tmp_path / "out"):
        source = Path(row["source"])
        own = next((pairs[1] / source.parent.name).glob(f"{source.stem}.*"))
        with Image.open(own) as before, Image.open(tmp_path / "out" / row["mask"]) as after:
            assert before.mode == after.mode
            kinds.add(after.mode)
            if before.mode == "P":
                assert (after.getpalette() or [])[:9] == PALETTE
        if row["origin"] == "original":
            assert np.array_equal(array(own), array(tmp_path / "out" / row["mask"]))
        else:
            assert set(np.unique(array(own))) == set(np.unique(array(tmp_path / "out" / row["mask"])))
    assert kinds == {"1", "L", "P", "I;16"}


def test_what_was_stopped_goes_on_to_the_same_masks(
    pairs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dlkit.enlarge.folder import Folder

    assert main(command(pairs, tmp_path / "whole")) == 0
    note, left = Folder.note, [5]

    def stopped(self: Folder, noted: Any) -> None:
        note(self, noted)
        left[0] -= 1
        if left[0] == 0:  # the masks of a copy are written, and its images are not
            raise KeyboardInterrupt

    monkeypatch.setattr(Folder, "note", stopped)
    part = tmp_path / "part"
    assert main(command(pairs, part)) == 130
    monkeypatch.setattr(Folder, "note", note)
    next((part / "masks").rglob("*.png")).unlink()  # and one was lost
    assert main(command(pairs, part)) == 0
    assert contents(part) == contents(tmp_path / "whole")


def test_another_background_comes_behind_the_mask(pairs: tuple[Path, Path], tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "behind").mkdir()
    Image.new("RGB", (20, 20), (100, 100, 100)).save(tmp_path / "behind" / "grey.png")
    policy = f"background:{tmp_path / 'behind'}"
    assert main(command(pairs, tmp_path / "out", "--copies", "1", policy=policy)) == 0
    for row in (row for row in rows(tmp_path / "out") if row["origin"] == "augmented"):
        image, mask = array(tmp_path / "out" / row["image_path"]), array(tmp_path / "out" / row["mask"])
        assert np.array_equal(image, np.where(mask != 0, 255, 100))
    assert main(["augment", str(pairs[0]), "--augment", policy, "--out", str(tmp_path / "none")]) == 2
    assert "--masks DIR" in capsys.readouterr().err


def test_a_preview_shows_what_masks_cover(pairs: tuple[Path, Path], tmp_path: Path) -> None:
    assert main(command(pairs, tmp_path / "sheet.png", "--preview", policy="flip@1")) == 0
    sheet = array(tmp_path / "sheet.png")[..., :3]
    covered = (sheet == (255, 127, 127)).all(2) | (sheet == (255, 128, 128)).all(2)  # what is white there is red now
    assert covered.mean() > 0.2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--image-size", "8"], "--image-size cannot be given with it"),
        (["--from", "latest", "-n", "3"], "--from cannot be given with it"),
        (["--masks", "nowhere"], "no such folder"),
        (["--masks", "."], "12 of 12 images have no mask here; the first: cat/1.png"),
        (["--out", "masks/new"], "lies within"),
    ],
)
def test_what_does_not_fit_masks_is_told(
    pairs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(command(pairs, tmp_path / "new", *words)) in (2, 3)
    assert said in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_masks_that_do_not_fit_are_told(pairs: tuple[Path, Path], tmp_path: Path, capsys: Any) -> None:
    mask = pairs[1] / "cat" / "3.png"
    for wrong, said in (
        (Image.new("L", (5, 7)), f"The mask {mask} has 5 × 7 pixels, but the image {pairs[0] / 'cat' / '3.png'} has"),
        (Image.new("RGB", (16, 12)), "must be grey, palette or 1-bit, not RGB"),
    ):
        wrong.save(mask)
        assert main(command(pairs, tmp_path / "new")) == 3
        assert said in capsys.readouterr().err
    mask.write_bytes(b"nothing")
    assert main(command(pairs, tmp_path / "new")) == 3
    assert "cannot be read" in capsys.readouterr().err
    mask.with_suffix(".bmp").write_bytes(b"nothing")
    assert main(command(pairs, tmp_path / "new")) == 3
    assert "masks of the same name" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_data_without_files_has_no_masks(shapes_npz: Path, tmp_path: Path, capsys: Any) -> None:
    assert main(command((shapes_npz, tmp_path), tmp_path / "new")) == 2
    assert "has no files" in capsys.readouterr().err
