"""CSV manifests, good and bad."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dlkit.data import load_data
from dlkit.data.text import csv_meaning, csv_text
from dlkit.errors import DataError
from dlkit.options import DataOptions


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "img").mkdir()
    for index in range(8):
        Image.new("L", (4, 4), index * 20).save(tmp_path / "img" / f"{index}.png")
    return tmp_path


def write(folder: Path, text: str) -> DataOptions:
    (folder / "m.csv").write_text(text)
    return DataOptions(data=str(folder / "m.csv"), val_fraction=0, test_fraction=0)


def test_labels_and_splits(folder: Path) -> None:
    rows = ["img/0.png,b,train", "img/1.png,a,val", '"img/2.png",a,test', "img/3.png,,train", "", "img/4.png,a,Train"]
    data = load_data(write(folder, "\ufeffimage_path,label,split\n" + "\n".join(rows) + "\n"))
    assert data.spec.classes == ("a", "b")
    assert data.spec.counts == {"train": 3, "val": 1, "test": 1}
    assert data.train.labels is not None
    assert data.train.labels.tolist() == [1, -1, 0]
    assert data.train.files == ["img/0.png", "img/3.png", "img/4.png"]
    assert data.train.raw()[:, 0, 0, 0].tolist() == [0, 60, 80]


def test_columns_may_be_missing_or_too_many(folder: Path) -> None:
    data = load_data(write(folder, "image_path\nimg/0.png\nimg/1.png\n"))
    assert data.train.labels is None
    assert len(data.train) == 2
    data = load_data(write(folder, "who,Label,image_path\nme,x,img/0.png\n"))
    assert data.spec.classes == ("x",)
    assert "who" in data.notices[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "first row"),
        ("image,label\na,b\n", "image_path"),
        ("image_path,label\n", "no images"),
        (
            "image_path,split\nimg/0.png,train\nimg/1.png,tets\n",
            r"row 3: unknown split 'tets'(.|\n)*Did you mean 'test'",
        ),
        ("image_path,split\nimg/0.png,train\nimg/1.png,\n", "row 3: no split"),
        ("image_path,label\nimg/0.png,a\nimg/1.png,a\nimg/0.png,b\n", r"row 4: 'img/0.png' is already in row 2"),
        ("image_path,label\nimg/0.png\n", "row 2: 1 fields, expected 2"),
        ("image_path,label\n,a\n", "row 2: image_path is empty"),
        ("image_path,label,label\nx,a,a\n", "twice"),
        ('image_path,label\n"img/0.png,a\n', "row 2"),
        ("image_path\nimg/nine.png\n", r"img/nine\.png: no such file"),
    ],
)
def test_what_is_wrong_is_said(folder: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_data(write(folder, text))


@given(st.text("'=+-@a\t 1", max_size=6))
def test_text_of_a_cell_comes_back(text: str) -> None:
    kept = csv_text(text)
    assert not kept.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert csv_meaning(kept) == text
