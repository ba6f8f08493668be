"""Images that come as one array: layouts, number types, labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlkit.data.decode import fit_array
from dlkit.data.listing import UNLABELLED, Ints, Pixels, Survey
from dlkit.data.spec import DataSpec
from dlkit.data.text import natural, shown
from dlkit.display import Display
from dlkit.errors import DataError

_CHANNELS = (1, 3, 4)


class ArrayImages:
    """One array of images.

    Args:
        array: ``(N, H, W, C)``, uint8 (white is 255) or float32 (white is 1); C = 1, 2, 3 or 4.
    """

    names: None = None

    def __init__(self, array: Pixels) -> None:
        self.array = array

    def __len__(self) -> int:
        return len(self.array)

    def survey(self, display: Display) -> Survey:  # noqa: ARG002
        """Known from the array's shape."""
        height, width, channels = self.array.shape[1:]
        sizes = np.broadcast_to(np.array([height, width], dtype=np.int64), (len(self), 2))
        return Survey(sizes, grey=channels <= 2, deep=self.array.dtype != np.uint8)

    def read(self, indices: Ints, spec: DataSpec, out: Pixels) -> dict[int, str]:
        """Copy, or bring to size; see :class:`dlkit.data.listing.Images`."""
        _, height, width, channels = self.array.shape
        same = (channels, height, width) == spec.shape and self.array.dtype == np.dtype(spec.pixel_type)
        if same:
            out[:] = self.array[indices].transpose(0, 3, 1, 2)
        else:
            for position, index in enumerate(indices):
                out[position] = fit_array(self.array[index], spec)
        return {}


def image_array(array: NDArray[Any], where: str) -> ArrayImages:
    """Images from an array of any usual layout and number type.

    Args:
        array: ``(N, H, W)``, ``(N, H, W, C)`` or ``(N, C, H, W)`` with C = 1, 3 or 4; bool, integers in
            [0, 255], 16-bit integers, or floats in [0, 1].
        where: what to call it in messages.

    Raises:
        DataError: another layout, number type or range.
    """
    if array.ndim == 3:
        array = array[..., None]
    elif array.ndim == 4:
        array = _channels_last(array, where)
    else:
        raise DataError(f"{where}: expected images of shape (N, H, W), (N, H, W, C) or (N, C, H, W), got {array.shape}")
    if 0 in array.shape[1:]:
        raise DataError(f"{where}: images of size zero, shape {array.shape}")
    return ArrayImages(_numbers(array, where))


def _channels_last(array: NDArray[Any], where: str) -> NDArray[Any]:
    first, last = array.shape[1] in _CHANNELS, array.shape[3] in _CHANNELS
    if first and last:
        raise DataError(
            f"{where}: shape {array.shape} could be (N, C, H, W) as well as (N, H, W, C)",
            "Save grey images as (N, H, W), or images larger than 4 pixels.",
        )
    if not (first or last):
        raise DataError(f"{where}: no axis of shape {array.shape} is 1, 3 or 4 channels long")
    return array if last else array.transpose(0, 2, 3, 1)


def _numbers(array: NDArray[Any], where: str) -> Pixels:
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "uif":
        raise DataError(f"{where}: expected numbers, got {array.dtype}")
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    if array.dtype.kind == "f":
        if not (low >= 0 and high <= 1):  # also where a NaN is in it
            raise DataError(
                f"{where}: floats from {low:g} to {high:g}, expected 0 (black) to 1 (white)",
                "Scale them to [0, 1], or save 8-bit images as uint8.",
            )
        return array.astype(np.float32)
    if array.dtype.itemsize == 2 and low >= 0:
        return array.astype(np.float32) / np.float32(65535)
    if not (low >= 0 and high <= 255):
        raise DataError(f"{where}: integers from {low:g} to {high:g}, expected 0 to 255 ({array.dtype})")
    return array.astype(np.uint8)


def label_array(
    array: NDArray[Any], count: int, classes: tuple[str, ...] | None, where: str
) -> tuple[Ints, tuple[str, ...]]:
    """Labels from an array of class numbers or names.

    Args:
        array: ``(N,)`` or ``(N, 1)``: integers (-1: unlabelled) or strings.
        count: N.
        classes: names of the numbers 0, 1, …; where None, the names are the numbers themselves.
        where: what to call it in messages.

    Raises:
        DataError: another shape or type, or a number without a name.
    """
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise DataError(f"{where}: expected one label per image, shape (N,) or (N, 1), got {array.shape}")
    if len(array) != count:
        raise DataError(f"{where}: {len(array):,} labels for {count:,} images")
    if array.dtype.kind in "US":
        return _named(array.astype(str), classes, where)
    if array.dtype.kind == "f" and bool(np.all(array == np.rint(array))):
        array = array.astype(np.int64)
    if array.dtype.kind not in "ui":
        raise DataError(f"{where}: expected integers or strings, got {array.dtype}")
    labels = array.astype(np.int64)
    if classes is None:
        values = np.unique(labels[labels != UNLABELLED])
        numbers = np.where(labels == UNLABELLED, UNLABELLED, np.searchsorted(values, labels))
        return numbers, tuple(str(value) for value in values)
    if len(labels) and not (labels.min() >= UNLABELLED and labels.max() < len(classes)):
        raise DataError(
            f"{where}: labels from {labels.min()} to {labels.max()}, but {len(classes)} classes are named",
            "Number the classes from 0 (-1 means unlabelled).",
        )
    return labels, classes


def _named(array: NDArray[np.str_], classes: tuple[str, ...] | None, where: str) -> tuple[Ints, tuple[str, ...]]:
    names = classes if classes is not None else tuple(sorted({str(name) for name in array} - {""}, key=natural))
    number = {name: index for index, name in enumerate(names)} | {"": UNLABELLED}
    unknown = sorted({str(name) for name in array} - set(number))
    if unknown:
        raise DataError(f"{where}: labels that `classes` does not name: {', '.join(map(shown, unknown[:20]))}")
    return np.array([number[str(name)] for name in array], dtype=np.int64), tuple(map(shown, names))
