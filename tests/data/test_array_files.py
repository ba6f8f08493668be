"""IDX and npz files that are damaged or odd: each says what is wrong."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dlkit.data import load_data
from dlkit.data.idx import read_idx
from dlkit.errors import DataError
from dlkit.options import DataOptions

CODES = {"u1": 8, "i1": 9, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array: np.ndarray) -> bytes:
    code = CODES[array.dtype.str[1:]]
    head = struct.pack(">HBB", 0, code, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


@given(
    st.sampled_from(sorted(CODES)).flatmap(
        lambda code: hnp.arrays(np.dtype(code), hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=6))
    ),
    st.booleans(),
)
@settings(deadline=None, max_examples=40)
def test_idx_reads_what_was_written(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray, packed: bool) -> None:
    path = tmp_path_factory.mktemp("idx") / "x"
    path.write_bytes(gzip.compress(idx_bytes(array)) if packed else idx_bytes(array))
    again = read_idx(path)
    assert again.dtype == array.dtype
    assert np.array_equal(again, array, equal_nan=array.dtype.kind == "f")


WHOLE = idx_bytes(np.zeros((4, 3, 3), np.uint8))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file"),
        (b"\0\0\x07\x03" + WHOLE[4:], "not an IDX file"),
        (b"\x89PNG" + WHOLE[4:], "not an IDX file: it begins with 89 50"),
        (WHOLE[:10], "ends within its header"),
        (WHOLE[:-1], "shorter than its header says"),
        (WHOLE + b"x", "longer than its header says"),
        (WHOLE[:4] + b"\xff" * 12, "shorter than its header says"),  # promises 79 octillion bytes
        (gzip.compress(WHOLE)[:-10], "cannot be read"),
        (gzip.compress(WHOLE[:-1]), "shorter than its header says"),
        (gzip.compress(WHOLE)[:10] + b"\xff" * 30, "cannot be read"),
        (idx_bytes(np.zeros(5, np.uint8)), "expected images of shape"),
        (idx_bytes(np.full((2, 3, 3), 300, np.int32)), "300"),
    ],
)
def test_damaged_idx(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_data(DataOptions(data=str(path)))


def test_idx_folder_without_some_labels(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(WHOLE)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(WHOLE)
    assert load_data(DataOptions(data=str(tmp_path))).train.labels is None
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(4, np.uint8)))
    with pytest.raises(DataError, match=r"labels are missing(.|\n)*t10k-labels-idx1-ubyte"):
        load_data(DataOptions(data=str(tmp_path)))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(3, np.uint8)))
    with pytest.raises(DataError, match="3 labels for 4 images"):
        load_data(DataOptions(data=str(tmp_path)))


def test_idx_spelled_with_a_dot_and_a_prefix(tmp_path: Path) -> None:
    (tmp_path / "emnist-letters-train-images.idx3-ubyte").write_bytes(WHOLE)
    (tmp_path / "emnist-letters-train-labels.idx1-ubyte").write_bytes(idx_bytes(np.arange(4, dtype=np.uint8)))
    (tmp_path / "emnist-letters-test-images.idx3-ubyte").write_bytes(WHOLE)
    (tmp_path / "emnist-letters-test-labels.idx1-ubyte").write_bytes(idx_bytes(np.arange(4, dtype=np.uint8)))
    data = load_data(DataOptions(data=str(tmp_path / "emnist-letters"), val_fraction=0))
    assert data.spec.counts == {"train": 4, "val": 0, "test": 4}
    assert data.spec.name == "emnist-letters"


IMAGES = np.zeros((4, 5, 6), np.uint8)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"image": IMAGES}, r"holds image; expected(.|\n)*Did you mean 'images'"),
        ({"images": np.zeros((4, 7), np.uint8)}, "expected images of shape"),
        ({"images": np.zeros((4, 7, 7, 5), np.uint8)}, "1, 3 or 4 channels"),
        ({"images": np.zeros((4, 3, 7, 3), np.uint8)}, "could be"),
        ({"images": np.zeros((4, 0, 7), np.uint8)}, "size zero"),
        ({"images": np.zeros((0, 7, 7), np.uint8)}, "no images"),
        ({"images": np.full((4, 5, 6), 255.0)}, "floats from 255 to 255"),
        ({"images": np.full((4, 5, 6), np.nan)}, "nan"),
        ({"images": np.full((4, 5, 6), -1)}, "integers from -1"),
        ({"images": np.full((4, 5, 6), "x")}, "expected numbers"),
        ({"images": IMAGES, "labels": np.zeros(3, int)}, "3 labels for 4 images"),
        ({"images": IMAGES, "labels": np.full((4, 14), "a")}, "one label per image"),
        ({"images": IMAGES, "labels": np.zeros(4, complex)}, "integers or strings"),
        ({"images": IMAGES, "labels": np.zeros((3, 14), int)}, "3 labels for 4 images"),
        ({"images": IMAGES, "labels": np.zeros((4, 2), int), "classes": np.array(["a"])}, "2 columns, but `classes`"),
        ({"images": IMAGES, "labels": np.full(4, 2), "classes": np.array(["a", "b"])}, "2 classes are named"),
        ({"images": IMAGES, "labels": np.full(4, "c"), "classes": np.array(["a", "b"])}, "does not name: c"),
        ({"images": IMAGES, "labels": np.zeros(4, int), "classes": np.array(["a", "a"])}, "twice"),
        ({"images": IMAGES, "labels": np.zeros(4, int), "classes": np.array([1, 2])}, "list of strings"),
        ({"images": IMAGES, "split": np.array(["train"] * 3 + ["tset"])}, "unknown split 'tset'"),
        ({"images": IMAGES, "split": np.zeros(4, int)}, "`split` must name"),
        ({"train_images": IMAGES, "test_images": IMAGES[:, :4]}, "differ in image shape"),
        ({"train_images": IMAGES, "test_images": IMAGES, "train_labels": np.zeros(4, int)}, "has no test_labels"),
        ({"test_images": IMAGES}, "no training images"),
    ],
)
def test_odd_npz(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=message):
        load_data(DataOptions(data=str(tmp_path / "a.npz")))


def test_npz_that_is_none(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=IMAGES)
    whole = (tmp_path / "a.npz").read_bytes()
    for content in (b"", b"text", whole[:100], whole[:-40]):
        (tmp_path / "a.npz").write_bytes(content)
        with pytest.raises(DataError):
            load_data(DataOptions(data=str(tmp_path / "a.npz")))


@pytest.mark.parametrize(
    ("array", "pixel_type", "expected"),
    [
        (np.array([[[True, False]]]), "uint8", [255, 0]),
        (np.array([[[7, 255]]], np.int64), "uint8", [7, 255]),
        (np.array([[[0, 65535]]], np.uint16), "float32", [0, 1]),
        (np.array([[[0.25, 1.0]]], np.float64), "float32", [0.25, 1]),
    ],
)
def test_number_types(tmp_path: Path, array: np.ndarray, pixel_type: str, expected: list[float]) -> None:
    np.savez(tmp_path / "a.npz", images=array)
    data = load_data(DataOptions(data=str(tmp_path / "a.npz")))
    assert data.spec.pixel_type == pixel_type
    assert data.train.raw().flatten().tolist() == expected


def test_rgba_arrays_are_composited(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 6, 6, 4), dtype=np.uint8)
    opacity = images[..., 3:] / 255
    expected = (images[..., :3] * opacity + 255 * (1 - opacity)).transpose(0, 3, 1, 2)
    for array, white in ((images, 255), ((images / 255).astype(np.float32), 1)):
        np.savez(tmp_path / "a.npz", images=array)
        data = load_data(DataOptions(data=str(tmp_path / "a.npz"), val_fraction=0, test_fraction=0))
        assert data.spec.shape == (3, 6, 6)
        assert np.abs(data.train.raw().numpy() / white * 255 - expected).max() <= 1
