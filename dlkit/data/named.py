"""How each named data set is read from its published files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dlkit.data.arrays import ArrayImages, image_array
from dlkit.data.files import FileImages
from dlkit.data.folders import list_folder
from dlkit.data.idx import idx_parts, list_idx_parts
from dlkit.data.listing import SPLITS, UNLABELLED, Ints, Listing, Pixels, unassigned
from dlkit.data.names import DatasetCard
from dlkit.data.text import shown
from dlkit.errors import DataError

_TRAIN, _VAL, _TEST = (SPLITS.index(name) for name in ("train", "val", "test"))


def digits(card: DatasetCard, folder: Path) -> Listing:  # noqa: ARG001
    """scikit-learn's digits: 16 grey levels above black, so white is 16."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = image_array((bunch.images / 16).astype(np.float32), card.name)
    labels = bunch.target.astype(np.int64)
    return Listing(name=card.name, images=images, labels=labels, classes=card.classes, splits=unassigned(len(images)))


def photo_tiles(card: DatasetCard, folder: Path) -> Listing:  # noqa: ARG001
    """scikit-learn's two photographs of 427 × 640, each cut into 13 × 20 tiles that do not overlap."""
    from sklearn.datasets import load_sample_image

    tiles = [_tiles(load_sample_image(name), 32) for name in ("china.jpg", "flower.jpg")]
    labels = np.repeat(np.arange(len(tiles)), [len(each) for each in tiles])
    order = np.arange(len(labels)) * 229 % len(labels)  # each once, and what is shown first is not all sky
    return _array_listing(card.name, np.concatenate(tiles)[order], labels[order], card.classes, {})


def _tiles(photo: Pixels, side: int) -> Pixels:
    """``(H, W, 3)`` → ``(N, side, side, 3)``, row by row; what is left at the right and at the bottom is not used."""
    rows, columns = photo.shape[0] // side, photo.shape[1] // side
    cut = photo[: rows * side, : columns * side].reshape(rows, side, columns, side, 3)
    return cut.swapaxes(1, 2).reshape(-1, side, side, 3)


def idx_files(card: DatasetCard, folder: Path) -> Listing:
    """MNIST and what has its layout."""
    parts = idx_parts((folder / card.downloads[0].path).parent)
    return list_idx_parts(parts, card.name, card.classes)


def cifar10(card: DatasetCard, folder: Path) -> Listing:
    """Records of a label and 3 × 32 × 32 bytes."""
    batches = folder / "cifar-10-batches-bin"
    train = [batches / f"data_batch_{number}.bin" for number in range(1, 6)]
    return _cifar(card.name, train, batches / "test_batch.bin", 1, card.classes)


def cifar100(card: DatasetCard, folder: Path) -> Listing:
    """Records of a coarse label, a fine label and 3 × 32 × 32 bytes."""
    base = folder / "cifar-100-binary"
    classes = tuple((base / "fine_label_names.txt").read_text().split())
    return _cifar(card.name, [base / "train.bin"], base / "test.bin", 2, classes)


def _cifar(name: str, train: Sequence[Path], test: Path, label_bytes: int, classes: tuple[str, ...]) -> Listing:
    length = label_bytes + 3 * 32 * 32
    records = [_bytes(path, length).reshape(-1, length) for path in (*train, test)]
    every = np.concatenate(records)
    images = every[:, label_bytes:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    labels = every[:, label_bytes - 1].astype(np.int64)
    return _array_listing(name, images, labels, classes, {_TEST: len(records[-1])})


def svhn(card: DatasetCard, folder: Path) -> Listing:
    """MATLAB files of ``(32, 32, 3, N)``; the label 10 is the digit 0."""
    from scipy.io import loadmat

    parts = [loadmat(folder / f"{split}_32x32.mat") for split in ("train", "test")]
    images = np.concatenate([part["X"].transpose(3, 0, 1, 2) for part in parts])
    labels = np.concatenate([part["y"].reshape(-1) for part in parts]).astype(np.int64) % 10
    return _array_listing(card.name, images, labels, card.classes, {_TEST: len(parts[1]["y"])})


def stl10(card: DatasetCard, folder: Path) -> Listing:
    """Files of 3 × 96 × 96 bytes, columns first; labels from 1."""
    return _stl10(card, folder / "stl10_binary", ("train", "test"))


def stl10_unlabeled(card: DatasetCard, folder: Path) -> Listing:
    """The same and the unlabelled images, which are for training."""
    return _stl10(card, folder / "stl10_binary", ("train", "unlabeled", "test"))


def _stl10(card: DatasetCard, base: Path, parts: Sequence[str]) -> Listing:
    images, labels = [], []
    for part in parts:
        pixels = _bytes(base / f"{part}_X.bin", 3 * 96 * 96).reshape(-1, 3, 96, 96)
        images.append(pixels.transpose(0, 3, 2, 1))
        labels.append(
            np.full(len(pixels), UNLABELLED)
            if part == "unlabeled"
            else _bytes(base / f"{part}_y.bin", 1).astype(np.int64) - 1
        )
    classes = tuple((base / "class_names.txt").read_text().split())
    return _array_listing(card.name, np.concatenate(images), np.concatenate(labels), classes, {_TEST: len(images[-1])})


def flowers102(card: DatasetCard, folder: Path) -> Listing:
    """``setid.mat`` lists the images of each split, ``imagelabels.mat`` the class of each image, from 1."""
    from scipy.io import loadmat
    from torchvision.datasets import Flowers102

    base = folder / "flowers-102"
    splits = loadmat(base / "setid.mat", squeeze_me=True)
    class_of = loadmat(base / "imagelabels.mat", squeeze_me=True)["labels"]
    rows = [
        (base / "jpg" / f"image_{number:05d}.jpg", int(class_of[number - 1]) - 1, split)
        for key, split in (("trnid", _TRAIN), ("valid", _VAL), ("tstid", _TEST))
        for number in np.atleast_1d(splits[key]).tolist()
    ]
    return _file_listing(card.name, base, rows, tuple(Flowers102.classes))


def oxford_iiit_pet(card: DatasetCard, folder: Path) -> Listing:
    """Annotation lines ``image class species breed``; the class from 1, its name that of the image without number."""
    base = folder / "oxford-iiit-pet"
    rows = []
    names: dict[int, str] = {}
    for part, split in (("trainval", _TRAIN), ("test", _TEST)):
        for line in (base / "annotations" / f"{part}.txt").read_text().splitlines():
            image, number, _, _ = line.split()
            names[int(number) - 1] = image.rpartition("_")[0].replace("_", " ").title()
            rows.append((base / "images" / f"{image}.jpg", int(number) - 1, split))
    return _file_listing(card.name, base, rows, tuple(names[number] for number in sorted(names)))


def dtd(card: DatasetCard, folder: Path) -> Listing:
    """The first of the ten published partitions; lines ``class/image``."""
    base = folder / "dtd" / "dtd"
    found = [
        (base / "images" / line, line.partition("/")[0], split)
        for part, split in (("train1", _TRAIN), ("val1", _VAL), ("test1", _TEST))
        for line in (base / "labels" / f"{part}.txt").read_text().split()
    ]
    return _by_name(card.name, base, found)


def food101(card: DatasetCard, folder: Path) -> Listing:
    """JSON: class → images without extension."""
    base = folder / "food-101"
    found = [
        (base / "images" / f"{image}.jpg", name, split)
        for part, split in (("train", _TRAIN), ("test", _TEST))
        for name, images in json.loads((base / "meta" / f"{part}.json").read_text()).items()
        for image in images
    ]
    return _by_name(card.name, base, found)


def eurosat(card: DatasetCard, folder: Path) -> Listing:
    """Class folders without splits."""
    return _renamed(list_folder(folder / "eurosat" / "2750"), card.name)


def imagenette(card: DatasetCard, folder: Path) -> Listing:
    """``train|val`` folders whose classes are named by their WordNet numbers."""
    from torchvision.datasets import Imagenette

    listing = _renamed(list_folder(folder / "imagenette2-160"), card.name)
    names: dict[str, tuple[str, ...]] = Imagenette._WNID_TO_CLASS
    return _renamed(listing, card.name, tuple(names[number][0] for number in listing.classes))


def _renamed(listing: Listing, name: str, classes: tuple[str, ...] | None = None) -> Listing:
    from dataclasses import replace

    return replace(listing, name=name, classes=listing.classes if classes is None else classes)


def _bytes(path: Path, length: int) -> Pixels:
    """A file of records of ``length`` bytes.

    Raises:
        DataError: it cannot be read or is cut off.
    """
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise DataError(f"{shown(path)}: cannot be read: {error.strerror}") from error
    if len(data) == 0 or len(data) % length:
        raise DataError(
            f"{shown(path)}: {len(data):,} bytes, expected a multiple of {length:,}",
            f"Delete the folder {shown(path.parent)!r}; it is unpacked or fetched again.",
        )
    return data


def _array_listing(name: str, images: Pixels, labels: Ints, classes: tuple[str, ...], last: dict[int, int]) -> Listing:
    """Training images, but for the ``last`` so many, which are another split's."""
    splits = np.full(len(images), _TRAIN, dtype=np.int64)
    for split, count in last.items():
        splits[len(images) - count :] = split
    return Listing(name=name, images=ArrayImages(images), labels=labels, classes=classes, splits=splits)


def _by_name(name: str, base: Path, found: Sequence[tuple[Path, str, int]]) -> Listing:
    classes = tuple(sorted({label for _, label, _ in found}))
    number = {label: index for index, label in enumerate(classes)}
    return _file_listing(name, base, [(path, number[label], split) for path, label, split in found], classes)


def _file_listing(name: str, base: Path, rows: Sequence[tuple[Path, int, int]], classes: tuple[str, ...]) -> Listing:
    paths = [path for path, _, _ in rows]
    return Listing(
        name=name,
        images=FileImages(paths, [str(path.relative_to(base)) for path in paths]),
        labels=np.array([label for _, label, _ in rows], dtype=np.int64),
        classes=classes,
        splits=np.array([split for _, _, split in rows], dtype=np.int64),
    )
