"""Corrupt files, odd names, links, duplicates."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlkit.data import load_data
from dlkit.errors import DataError
from dlkit.options import DataOptions


def image(path: Path, seed: int, size: tuple[int, int] = (8, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in range(10):
        for number, name in enumerate("ab"):
            image(tmp_path / name / f"{index}.png", 100 * number + index)
    whole = (tmp_path / "a" / "3.png").read_bytes()
    (tmp_path / "a" / "3.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "b" / "5.png").write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize("in_memory", ["yes", "no"])
def test_stop_lists_them_and_skip_records_them(folder: Path, in_memory: str) -> None:
    options = DataOptions(data=str(folder), in_memory=in_memory)  # type: ignore[arg-type]
    with pytest.raises(DataError) as caught:
        load_data(options)
    assert "2 images cannot be read" in caught.value.message
    assert "a/3.png: " in caught.value.message
    assert "b/5.png: " in caught.value.message
    assert "--on-bad-image skip" in caught.value.hint
    skipping = DataOptions(data=str(folder), in_memory=in_memory, on_bad_image="skip")  # type: ignore[arg-type]
    data = load_data(skipping)
    assert sorted(bad.path for bad in data.bad_files) == ["a/3.png", "b/5.png"]
    assert sum(data.spec.counts.values()) == 18
    assert any("2 images" in notice for notice in data.notices)
    for split in data.splits:
        assert split.files is not None
        assert split.labels is not None
        assert len(split) == len(split.files) == len(split.labels) == len(split.raw())
        for file, label, pixels in zip(split.files, split.labels.tolist(), split.raw(), strict=True):
            with Image.open(folder / file) as expected:
                assert np.array_equal(pixels.numpy(), np.asarray(expected).transpose(2, 0, 1))
            assert data.spec.classes[label] == file[0]


def test_repairing_an_image_moves_no_other(folder: Path) -> None:
    before = load_data(DataOptions(data=str(folder), on_bad_image="skip"))
    image(folder / "a" / "3.png", 3)
    image(folder / "b" / "5.png", 105)
    after = load_data(DataOptions(data=str(folder)))
    for one, other in zip(before.splits, after.splits, strict=True):
        assert set(one.files or ()) <= set(other.files or ())


def test_many_bad_files_are_counted(tmp_path: Path) -> None:
    for index in range(30):
        (tmp_path / f"{index}.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match=r"30 images cannot be read(.|\n)*and 10 more"):
        load_data(DataOptions(data=str(tmp_path)))
    with pytest.raises(DataError, match="none of the training images"):
        load_data(DataOptions(data=str(tmp_path), on_bad_image="skip"))


def test_a_decompression_bomb_is_a_bad_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image(tmp_path / "small.png", 0)
    image(tmp_path / "big.png", 1, (40, 40))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DataError, match=r"big\.png: .*limit of 1,000"):
        load_data(DataOptions(data=str(tmp_path)))


def test_other_files_links_and_hidden_ones(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for index in range(4):
        image(root / "a" / f"{index}.png", index)
        image(root / "b" / "deeper" / f"{index}.PNG", 10 + index)
    (root / "a" / "notes.txt").write_text("hello")
    (root / "a" / "Thumbs").write_text("x")
    (root / ".hidden").mkdir()
    image(root / ".hidden" / "x.png", 50)
    image(root / "a" / "._0.png", 51)
    (root / "b" / "loop").symlink_to(root, target_is_directory=True)
    os.mkfifo(root / "a" / "pipe.png")
    data = load_data(DataOptions(data=str(root), val_fraction=0, test_fraction=0))
    assert data.spec.class_counts["train"] == (4, 4)
    assert any("1 .txt" in notice and "1 without extension" in notice for notice in data.notices)


def test_a_dangling_link_is_a_bad_image(tmp_path: Path) -> None:
    image(tmp_path / "a.png", 0)
    (tmp_path / "b.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(DataError, match=r"b\.png: no such file"):
        load_data(DataOptions(data=str(tmp_path)))


def test_names_that_are_not_text(tmp_path: Path) -> None:
    root = os.fsencode(tmp_path)
    for index in range(3):
        image(Path(os.fsdecode(root + b"/cl\xffss/%d\xfe.png" % index)), index)
        image(Path(os.fsdecode(root + b"/[red]b\n/%d.png" % index)), 10 + index)
    data = load_data(DataOptions(data=str(tmp_path), val_fraction=0, test_fraction=0))
    assert "cl\\udcffss" in data.spec.classes
    assert data.train.files is not None
    " ".join((*data.train.files, *data.spec.classes)).encode()
    Path(os.fsdecode(root + b"/cl\xffss/bad\xff.png")).write_bytes(b"")
    with pytest.raises(DataError) as caught:
        load_data(DataOptions(data=str(tmp_path)))
    str(caught.value).encode()


def test_duplicates_across_splits_are_found(tmp_path: Path) -> None:
    for index in range(5):
        image(tmp_path / "train" / "a" / f"{index}.png", index)
        image(tmp_path / "test" / "a" / f"{index}.png", 10 + index)
    image(tmp_path / "val" / "a" / "x.png", 2)
    image(tmp_path / "test" / "a" / "6.bmp", 2)  # other bytes, same pixels
    data = load_data(DataOptions(data=str(tmp_path)))
    found = [(pair.first, pair.second) for pair in data.duplicates]
    assert found == [(("train", 2), ("val", 0)), (("train", 2), ("test", 5))]
    assert sum("the same pixels" in notice for notice in data.notices) == 2


def test_user_files_are_not_touched(folder: Path) -> None:
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*.png")}
    load_data(DataOptions(data=str(folder), on_bad_image="skip"))
    assert {
        path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()
    } == before


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Did you mean 'cifar10'"):
        load_data(DataOptions(data="cifar-10"))
    with pytest.raises(DataError, match="No such file or folder"):
        load_data(DataOptions(data=str(tmp_path / "nothing")))
    (tmp_path / "x.doc").write_text("x")
    with pytest.raises(DataError, match="no images here"):
        load_data(DataOptions(data=str(tmp_path)))
    with pytest.raises(DataError, match="cannot be looked at"):
        load_data(DataOptions(data="x" * 5000))
    with pytest.raises(DataError):
        load_data(DataOptions(data="x\0y"))
    with pytest.raises(DataError, match="cannot be used"):
        load_data(DataOptions(data=str(tmp_path / "x.doc")))
