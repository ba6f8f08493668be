"""Each form of --data through load_data."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from dlkit.data import load_data
from dlkit.errors import DataError
from dlkit.options import DataOptions


def write_idx(path: Path, array: np.ndarray) -> None:
    codes = {"uint8": 0x08, "int32": 0x0C, "float32": 0x0D}
    head = struct.pack(">HBB", 0, codes[array.dtype.name], array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    data = head + array.astype(array.dtype.newbyteorder(">")).tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def random_images(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_digits_are_those_of_scikit_learn() -> None:
    data = load_data(DataOptions(val_fraction=0, test_fraction=0))
    bunch = load_digits()
    assert data.spec.shape == (1, 8, 8)
    assert data.spec.pixel_type == "float32"
    assert len(data.val) == len(data.test) == 0
    assert torch.equal(data.train.pixels()[:, 0], torch.from_numpy(bunch.images / 16).float())
    assert data.train.labels is not None
    assert data.train.labels.tolist() == bunch.target.tolist()
    assert data.spec.classes == tuple("0123456789")


def test_digits_default_splits() -> None:
    data = load_data(DataOptions())
    assert data.spec.counts == {"train": 1294, "val": 144, "test": 359}
    assert data.held_out is data.test
    assert data.train.in_memory
    assert data.train.tensor.shape == (1294, 1, 8, 8)


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_idx_folder_single_file_and_prefix(tmp_path: Path, ending: str) -> None:
    train, test = random_images(20, 5, 4), random_images(6, 5, 4, seed=1)
    labels = np.arange(20, dtype=np.uint8) % 2
    write_idx(tmp_path / f"train-images-idx3-ubyte{ending}", train)
    write_idx(tmp_path / f"train-labels-idx1-ubyte{ending}", labels)
    write_idx(tmp_path / f"t10k-images-idx3-ubyte{ending}", test)
    write_idx(tmp_path / f"t10k-labels-idx1-ubyte{ending}", labels[:6])
    data = load_data(DataOptions(data=str(tmp_path), val_fraction=0))
    assert np.array_equal(data.train.raw().numpy()[:, 0], train)
    assert np.array_equal(data.test.raw().numpy()[:, 0], test)
    assert data.spec.class_counts["train"] == (10, 10)
    for form in (tmp_path / "train", tmp_path / f"train-images-idx3-ubyte{ending}"):
        data = load_data(DataOptions(data=str(form), val_fraction=0, test_fraction=0))
        assert np.array_equal(data.train.raw().numpy()[:, 0], train)
        assert data.train.labels is not None
        assert data.train.labels.tolist() == labels.tolist()


@pytest.mark.parametrize("layout", ["NHW", "NHWC", "NCHW"])
def test_npz_layouts(tmp_path: Path, layout: str) -> None:
    images = random_images(10, 6, 5, 3)
    shaped = {"NHW": images[..., 0], "NHWC": images, "NCHW": images.transpose(0, 3, 1, 2)}[layout]
    np.savez(tmp_path / "a.npz", images=shaped, labels=np.array(["b", "a"] * 5))
    data = load_data(DataOptions(data=str(tmp_path / "a.npz"), val_fraction=0, test_fraction=0))
    expected = images[..., :1] if layout == "NHW" else images
    assert np.array_equal(data.train.raw().numpy(), expected.transpose(0, 3, 1, 2))
    assert data.spec.classes == ("a", "b")
    assert data.train.labels is not None
    assert data.train.labels.tolist() == [1, 0] * 5


def test_npz_medmnist_keys(tmp_path: Path) -> None:
    parts = {split: random_images(n, 4, 4, seed=n) for split, n in (("train", 8), ("val", 3), ("test", 5))}
    arrays = {f"{split}_images": images for split, images in parts.items()}
    arrays |= {f"{split}_labels": np.arange(len(images))[:, None] % 2 for split, images in parts.items()}
    np.savez(tmp_path / "med.npz", **arrays)
    data = load_data(DataOptions(data=str(tmp_path / "med.npz")))
    for split in data.splits:
        assert np.array_equal(split.raw().numpy()[:, 0], parts[split.name])
        assert split.labels is not None
        assert split.labels.tolist() == [i % 2 for i in range(len(split))]


def test_npz_with_python_objects_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "o.npz", images=np.array([{"a": 1}, None], dtype=object))
    with pytest.raises(DataError, match="Python objects"):
        load_data(DataOptions(data=str(tmp_path / "o.npz")))


def test_npz_split_and_classes(tmp_path: Path) -> None:
    images = random_images(6, 4, 4)
    split = np.array(["train", "test", "val", "train", "test", "train"])
    labels = np.array([0, 1, 1, -1, 0, 2])
    np.savez(tmp_path / "a.npz", images=images, labels=labels, split=split, classes=np.array(["x", "y", "z"]))
    data = load_data(DataOptions(data=str(tmp_path / "a.npz")))
    assert data.spec.counts == {"train": 3, "val": 1, "test": 2}
    assert data.spec.classes == ("x", "y", "z")
    assert data.spec.class_counts["train"] == (1, 0, 1)
    assert np.array_equal(data.test.raw().numpy()[:, 0], images[[1, 4]])


def save_images(folder: Path, count: int, size: tuple[int, int] = (6, 5), seed: int = 0) -> np.ndarray:
    folder.mkdir(parents=True)
    images = random_images(count, *size, 3, seed=seed)
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{index}.png")
    return images


def test_folder_with_splits(tmp_path: Path) -> None:
    expected = {}
    for seed, part in enumerate(("train/c2", "train/c10", "valid/c2", "test/c10")):
        expected[part] = save_images(tmp_path / part, 12, seed=seed)
    data = load_data(DataOptions(data=str(tmp_path)))
    assert data.spec.classes == ("c2", "c10")  # natural order
    assert data.spec.counts == {"train": 24, "val": 12, "test": 12}
    assert data.train.files is not None
    assert data.train.files[0] == "train/c2/0.png"
    both = np.concatenate([expected["train/c2"], expected["train/c10"]])
    assert np.array_equal(data.train.raw().numpy(), both.transpose(0, 3, 1, 2))  # 0, 1, … 9, 10, 11: natural order
    assert data.train.labels is not None
    assert data.train.labels.tolist() == [0] * 12 + [1] * 12


def test_folder_of_classes_is_split(tmp_path: Path) -> None:
    save_images(tmp_path / "a", 20)
    save_images(tmp_path / "b", 10, seed=1)
    data = load_data(DataOptions(data=str(tmp_path), test_fraction=0.2, val_fraction=0.25))
    assert data.spec.class_counts == {"train": (12, 6), "val": (4, 2), "test": (4, 2)}


def test_flat_folder_is_unlabelled(tmp_path: Path) -> None:
    save_images(tmp_path / "flat", 10)
    data = load_data(DataOptions(data=str(tmp_path / "flat")))
    assert data.train.labels is None
    assert data.spec.classes == ()
    assert sum(data.spec.counts.values()) == 10


@pytest.mark.parametrize(("root", "name"), [("", "unlabeled"), ("train/", "unlabelled"), ("", "Unlabelled")])
def test_unlabelled_images_beside_classes_stay_in_train(tmp_path: Path, root: str, name: str) -> None:
    save_images(tmp_path / f"{root}a", 10)
    save_images(tmp_path / f"{root}b", 10, seed=1)
    save_images(tmp_path / f"{root}{name}", 10, seed=2)
    data = load_data(DataOptions(data=str(tmp_path), val_fraction=0.5, test_fraction=0.2))
    assert data.spec.classes == ("a", "b")
    assert data.spec.class_counts == {"train": (4, 4), "val": (4, 4), "test": (2, 2)}
    assert data.train.labels is not None
    assert (data.train.labels == -1).sum() == 10
