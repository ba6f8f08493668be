"""NumPy archives: MedMNIST's keys, or ``images`` / ``labels`` (optional ``split``, ``classes``). Never unpickled."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlkit.data.arrays import ArrayImages, image_array
from dlkit.data.listing import SPLITS, Ints, Listing, unassigned
from dlkit.data.memory import available_memory
from dlkit.data.targets import array_labels
from dlkit.data.text import enumerated, shown
from dlkit.errors import DataError
from dlkit.options.suggest import did_you_mean

_FORMS = "train_images, train_labels, val_images… (as in MedMNIST), or images and optionally labels, split, classes"

BROKEN = (
    OSError, ValueError, EOFError, KeyError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What NumPy raises of an archive that is damaged or encrypted, or lies about its size."""


def list_npz(path: Path) -> Listing:
    """The images of an archive.

    Raises:
        DataError: not an archive, wrong keys, shapes, types or values.
    """
    arrays = _read(path)
    where = shown(path)
    if "images" in arrays:
        return _one_array(arrays, where, path.stem)
    if any(f"{split}_images" in arrays for split in SPLITS):
        return _medmnist(arrays, where, path.stem)
    found = ", ".join(map(shown, arrays)) or "nothing"
    raise DataError(f"{where}: holds {found}; expected {_FORMS}", did_you_mean(next(iter(arrays), ""), ["images"]))


def _read(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DataError(f"{shown(path)}: one array, not an .npz archive of named arrays; expected {_FORMS}")
            check_size(archive, path)
            return {name: _array(archive, name, path) for name in archive.files}
    except BROKEN as error:
        raise DataError(f"{shown(path)}: cannot be read as an .npz archive: {shown(error)}") from error


def check_size(archive: Any, path: Path) -> None:
    """Deflate packs 1032 : 1, so that a small file may hold more than memory does.

    Raises:
        DataError: this one does.
    """
    size, room = sum(entry.file_size for entry in archive.zip.infolist()), available_memory()
    if size > room:
        raise DataError(
            f"{shown(path)}: unpacks to {size / 2**30:,.1f} GiB; there are {room / 2**30:,.1f} GiB of memory left.",
            "A folder of image files is read image by image.",
        )


def _array(archive: Any, name: str, path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = archive[name]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise DataError(
            f"{shown(path)}: the array {shown(name)!r} holds Python objects; they could only be read by running them",
            "Save plain arrays: strings as np.array([...], dtype=str), images of one size as uint8.",
        ) from error
    return array


def _classes(arrays: dict[str, NDArray[Any]], where: str) -> tuple[str, ...] | None:
    if "classes" not in arrays:
        return None
    names = arrays["classes"]
    if names.ndim != 1 or names.dtype.kind not in "US":
        raise DataError(f"{where}: `classes` must be a list of strings, got {names.dtype} of shape {names.shape}")
    classes = tuple(shown(name) for name in names.astype(str))
    if len(set(classes)) < len(classes):
        raise DataError(f"{where}: `classes` names a class twice:\n{enumerated(classes)}")
    return classes


def _one_array(arrays: dict[str, NDArray[Any]], where: str, name: str) -> Listing:
    images = image_array(arrays["images"], f"{where}: images")
    labels: dict[str, Any] = {}
    if "labels" in arrays:
        labels = array_labels(arrays["labels"], len(images), _classes(arrays, where), f"{where}: labels")
    splits = _splits(arrays["split"], len(images), where) if "split" in arrays else unassigned(len(images))
    return Listing(name=name, images=images, splits=splits, **labels)


def _splits(array: NDArray[Any], count: int, where: str) -> Ints:
    if array.shape != (count,) or array.dtype.kind not in "US":
        raise DataError(
            f"{where}: `split` must name {', '.join(SPLITS)} for each of the {count:,} images, "
            f"got {array.dtype} of shape {array.shape}"
        )
    names = array.astype(str)
    unknown = sorted(set(map(str, np.unique(names))) - set(SPLITS))
    if unknown:
        raise DataError(f"{where}: unknown split {shown(unknown[0])!r}; expected {', '.join(SPLITS)}")
    return np.array([SPLITS.index(name) for name in names], dtype=np.int64)


def _medmnist(arrays: dict[str, NDArray[Any]], where: str, name: str) -> Listing:
    present = [split for split in SPLITS if f"{split}_images" in arrays]
    parts = [image_array(arrays[f"{split}_images"], f"{where}: {split}_images").array for split in present]
    if len({(part.shape[1:], part.dtype) for part in parts}) > 1:
        shapes = ", ".join(f"{split} {part.shape}" for split, part in zip(present, parts, strict=True))
        raise DataError(f"{where}: the splits differ in image shape or number type: {shapes}")
    splits = np.repeat([SPLITS.index(split) for split in present], [len(part) for part in parts]).astype(np.int64)
    images = ArrayImages(np.concatenate(parts))
    labelled = [split for split in present if f"{split}_labels" in arrays]
    if not labelled:
        return Listing(name=name, images=images, splits=splits)
    if labelled != present:
        missing = next(split for split in present if split not in labelled)
        raise DataError(f"{where}: {missing}_images has no {missing}_labels")
    every = np.concatenate([arrays[f"{split}_labels"] for split in present])
    labels = array_labels(every, len(images), _classes(arrays, where), f"{where}: labels")
    return Listing(name=name, images=images, splits=splits, **labels)
