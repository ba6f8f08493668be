"""Published layouts of named data sets, made small here: torchvision's own classes are the oracle."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlkit.data import load_data
from dlkit.data.names import DATASETS
from dlkit.options import DataOptions

RANDOM = np.random.default_rng(0)


def jpeg(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)


def _make_flowers(root: Path) -> None:
    from scipy.io import savemat

    base = root / "flowers-102"
    for number in range(1, 10):
        jpeg(base / "jpg" / f"image_{number:05d}.jpg", number)
    savemat(base / "imagelabels.mat", {"labels": np.array([5, 1, 1, 2, 5, 102, 7, 7, 1])})
    savemat(base / "setid.mat", {"trnid": [[9, 1, 2]], "valid": [[3, 4]], "tstid": [[5, 6, 7, 8]]})


def _make_pets(root: Path) -> None:
    base = root / "oxford-iiit-pet"
    lines = {"trainval": ["great_pyrenees_1 2 2 1", "Abyssinian_3 1 1 1"], "test": ["Abyssinian_9 1 1 1"]}
    for part, rows in lines.items():
        (base / "annotations").mkdir(parents=True, exist_ok=True)
        (base / "annotations" / f"{part}.txt").write_text("\n".join(rows) + "\n")
        for number, row in enumerate(rows):
            jpeg(base / "images" / f"{row.split()[0]}.jpg", number)


def _make_dtd(root: Path) -> None:
    base = root / "dtd" / "dtd"
    for seed, part in enumerate(("train1", "val1", "test1")):
        names = [f"{texture}/{texture}_{part}.jpg" for texture in ("zigzagged", "banded")]
        (base / "labels").mkdir(parents=True, exist_ok=True)
        (base / "labels" / f"{part}.txt").write_text("\n".join(names) + "\n")
        for number, name in enumerate(names):
            jpeg(base / "images" / name, 10 * seed + number)


def _make_food(root: Path) -> None:
    base = root / "food-101"
    (base / "meta").mkdir(parents=True)
    for seed, part in enumerate(("train", "test")):
        found = {dish: [f"{dish}/{10 * seed + number}" for number in range(2)] for dish in ("waffles", "apple_pie")}
        (base / "meta" / f"{part}.json").write_text(json.dumps(found))
        for number, name in enumerate(name for names in found.values() for name in names):
            jpeg(base / "images" / f"{name}.jpg", 10 * seed + number)


def _make_eurosat(root: Path) -> None:
    for number in range(6):
        jpeg(root / "eurosat" / "2750" / ("River", "Forest")[number % 2] / f"{number}.jpg", number)


def _make_svhn(root: Path) -> None:
    from scipy.io import savemat

    root.mkdir(parents=True)
    for part, count in (("train", 7), ("test", 4)):
        pixels = RANDOM.integers(0, 256, (32, 32, 3, count), dtype=np.uint8)
        savemat(root / f"{part}_32x32.mat", {"X": pixels, "y": (np.arange(count) % 10 + 1)[:, None]})


def _make_stl10(root: Path) -> None:
    base = root / "stl10_binary"
    base.mkdir(parents=True)
    for part, count in (("train", 5), ("test", 3), ("unlabeled", 4)):
        RANDOM.integers(0, 256, (count, 3 * 96 * 96), dtype=np.uint8).tofile(base / f"{part}_X.bin")
        if part != "unlabeled":
            (np.arange(count, dtype=np.uint8) + 1).tofile(base / f"{part}_y.bin")
    (base / "class_names.txt").write_text("airplane bird car cat deer dog horse monkey ship truck".replace(" ", "\n"))


@pytest.mark.parametrize(
    ("name", "reference", "make", "splits"),
    [
        ("flowers102", "Flowers102", _make_flowers, {"train": "train", "val": "val", "test": "test"}),
        ("oxford-iiit-pet", "OxfordIIITPet", _make_pets, {"train": "trainval", "test": "test"}),
        ("dtd", "DTD", _make_dtd, {"train": "train", "val": "val", "test": "test"}),
        ("food101", "Food101", _make_food, {"train": "train", "test": "test"}),
        ("eurosat", "EuroSAT", _make_eurosat, {"train": None}),
        ("svhn", "SVHN", _make_svhn, {"train": "train", "test": "test"}),
        ("stl10", "STL10", _make_stl10, {"train": "train", "test": "test"}),
        ("stl10-unlabeled", "STL10", _make_stl10, {"train": "train+unlabeled", "test": "test"}),
    ],
)
def test_layouts_are_read_as_torchvision_reads_them(
    name: str,
    reference: str,
    make: object,
    splits: dict[str, str | None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torchvision.datasets

    home = tmp_path / "datasets"
    monkeypatch.setenv("DLKIT_HOME", str(tmp_path))
    make(home)  # type: ignore[operator]
    card = DATASETS[name]
    there = tuple(item for item in card.downloads if not item.unpacked)
    there = tuple(
        dataclasses.replace(item, md5=hashlib.md5((home / item.path).read_bytes()).hexdigest()) for item in there
    )
    unpacked = tuple(item for item in card.downloads if item.unpacked)
    monkeypatch.setitem(DATASETS, name, dataclasses.replace(card, downloads=there + unpacked))
    data = load_data(DataOptions(data=name, val_fraction=0, test_fraction=0))
    cls = getattr(torchvision.datasets, reference)
    monkeypatch.setattr(cls, "_check_integrity", lambda self: True, raising=False)
    ours = {split.name: split for split in data.splits}
    for split, theirs_name in splits.items():
        theirs = cls(home, **({} if theirs_name is None else {"split": theirs_name}))
        mine = ours[split]
        assert len(mine) == len(theirs)
        expected = sorted((np.asarray(image).transpose(2, 0, 1).tobytes(), int(label)) for image, label in theirs)
        assert mine.labels is not None
        got = sorted(zip((image.numpy().tobytes() for image in mine.raw()), mine.labels.tolist(), strict=True))
        assert got == expected
        if hasattr(theirs, "classes") and split == "train":
            assert list(data.spec.classes) == list(theirs.classes)
