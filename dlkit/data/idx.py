"""IDX files, MNIST's format (http://yann.lecun.com/exdb/mnist/, "the IDX file format"), plain or gzipped.

Two zero bytes, a type code, the number of dimensions, each dimension as a big-endian 32-bit integer, then the data.
"""

from __future__ import annotations

import gzip
import math
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlkit.data.arrays import ArrayImages, image_array, label_array
from dlkit.data.listing import SPLITS, Listing, unassigned
from dlkit.data.text import shown
from dlkit.errors import DataError

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_IMAGES = re.compile(r"(?P<stem>.*?)[-.]?images[-.]idx(?P<rank>[34])-ubyte(\.gz)?")
_PARTS = {"train": "train", "valid": "val", "validation": "val", "val": "val", "test": "test", "t10k": "test"}


def looks_like_idx(path: Path) -> bool:
    """Whether a file is called, or begins, like an IDX file."""
    if re.search(r"[-.]idx\d(-\w+)?(\.gz)?$", path.name):
        return True
    try:
        with _open(path) as stream:
            head = stream.read(4)
    except (OSError, EOFError, zlib.error):
        return False
    return len(head) == 4 and head[:2] == b"\0\0" and head[2] in _TYPES and 1 <= head[3] <= 4


def read_idx(path: Path) -> NDArray[Any]:
    """One array, in native byte order.

    Raises:
        DataError: not an IDX file, or shorter or longer than its header says.
    """
    try:
        with _open(path) as stream:
            head = stream.read(4)
            if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _TYPES or head[3] < 1:
                raise DataError(
                    f"{shown(path)}: not an IDX file: it begins with {head.hex(' ')}, expected 00 00, a type code "
                    "(08 for bytes) and the number of dimensions"
                )
            sizes = stream.read(4 * head[3])
            if len(sizes) < 4 * head[3]:
                raise DataError(f"{shown(path)}: ends within its header")
            shape = struct.unpack(f">{head[3]}I", sizes)
            kind = np.dtype(_TYPES[head[2]])
            expected = math.prod(shape) * kind.itemsize
            data, longer = _read_exactly(stream, expected, path.stat().st_size)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{shown(path)}: cannot be read: {shown(error)}", "The file may be cut off: get it again."
        ) from error
    if len(data) != expected or longer:
        than = "longer" if longer else "shorter"
        dimensions = " × ".join(map(str, shape))
        raise DataError(
            f"{shown(path)}: {than} than its header says ({dimensions}, {expected:,} bytes)",
            "The file may be cut off: get it again.",
        )
    try:
        return np.frombuffer(data, dtype=kind).reshape(shape).astype(kind.newbyteorder("="), copy=False)
    except ValueError as error:  # none along one dimension, and more than there can be along the others
        raise DataError(f"{shown(path)}: no array has the shape {shape}") from error


def _open(path: Path) -> Any:
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else path.open("rb")


def _read_exactly(stream: Any, count: int, file_size: int) -> tuple[memoryview, bool]:
    """``count`` bytes or fewer, and whether more follow. Deflate packs 1032 : 1 at best, so that a header that lies
    allocates nothing."""
    if count > 1032 * file_size:
        return memoryview(b""), False
    data = memoryview(np.empty(count, dtype=np.uint8).data)
    done = 0
    while done < count and (length := stream.readinto(data[done:])):
        done += length
    return data[:done], bool(stream.read(1))


def list_idx_file(path: Path) -> Listing:
    """One file of images, and its labels where they lie beside it."""
    images = image_array(read_idx(path), shown(path))
    match = _IMAGES.fullmatch(path.name)
    name = match["stem"] if match and match["stem"] else path.name.split(".")[0]
    labels = _labels_beside(path)
    if labels is None:
        return Listing(name=name, images=images, splits=unassigned(len(images)))
    numbers, classes = label_array(read_idx(labels), len(images), None, shown(labels))
    return Listing(name=name, images=images, labels=numbers, classes=classes, splits=unassigned(len(images)))


def idx_parts(folder: Path, prefix: str = "") -> dict[str, Path]:
    """Split → images file, for the files of a folder named ``[PREFIX-]train-images-idx3-ubyte[.gz]``, ``t10k-…``."""
    parts: dict[str, Path] = {}
    if not folder.is_dir():
        return parts
    for path in sorted(folder.iterdir(), reverse=True):  # where both are there, the unpacked file wins
        match = _IMAGES.fullmatch(path.name)
        if match is None or not path.is_file():
            continue
        stem = match["stem"]
        if prefix:
            if not stem.startswith(prefix):
                continue
            stem = stem[len(prefix) :].lstrip("-_.")
        if stem.lower() in _PARTS:
            parts[_PARTS[stem.lower()]] = path
    return {split: parts[split] for split in SPLITS if split in parts}


def idx_single(folder: Path, prefix: str) -> Path | None:
    """The images file ``PREFIX-images-idx3-ubyte[.gz]`` of a folder."""
    if not folder.is_dir():
        return None
    for path in sorted(folder.iterdir()):
        match = _IMAGES.fullmatch(path.name)
        if match is not None and match["stem"] == prefix and path.is_file():
            return path
    return None


def list_idx_parts(parts: dict[str, Path], name: str, classes: tuple[str, ...] | None = None) -> Listing:
    """Several files of images, one per split, with their labels.

    Raises:
        DataError: a file is damaged, shapes differ, or only some splits have labels.
    """
    arrays = [image_array(read_idx(path), shown(path)).array for path in parts.values()]
    if len({(array.shape[1:], array.dtype) for array in arrays}) > 1:
        shapes = ", ".join(f"{shown(path)} {array.shape}" for path, array in zip(parts.values(), arrays, strict=True))
        raise DataError(f"The splits differ in image shape or number type: {shapes}")
    images = ArrayImages(np.concatenate(arrays) if len(arrays) > 1 else arrays[0])
    splits = np.repeat([SPLITS.index(split) for split in parts], [len(array) for array in arrays]).astype(np.int64)
    label_files = [_labels_beside(path) for path in parts.values()]
    if all(path is None for path in label_files):
        return Listing(name=name, images=images, splits=splits)
    numbers = []
    for path, array, labels in zip(parts.values(), arrays, label_files, strict=True):
        if labels is None:
            raise DataError(f"{shown(path)}: its labels are missing", f"Expected {_label_name(path)} beside it.")
        values = read_idx(labels)
        if len(values) != len(array):
            raise DataError(f"{shown(labels)}: {len(values):,} labels for {len(array):,} images")
        numbers.append(values[:, 0] if values.ndim == 2 else values)  # QMNIST: the class, then where it came from
    every, names = label_array(np.concatenate(numbers), len(images), classes, name)
    return Listing(name=name, images=images, labels=every, classes=names, splits=splits)


def _label_name(images: Path) -> str:
    return re.sub(r"idx\d", "idx1", images.name.replace("images", "labels"))


def _labels_beside(images: Path) -> Path | None:
    if "images" not in images.name:
        return None
    base = _label_name(images).removesuffix(".gz")
    candidates = [
        base,
        base.replace("-idx1", ".idx1"),
        base.replace(".idx1", "-idx1"),
        base.replace("idx1-ubyte", "idx2-int"),
    ]
    for name in candidates:
        for path in (images.with_name(name), images.with_name(name + ".gz")):
            if path.is_file():
                return path
    return None
