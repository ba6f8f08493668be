"""The baseline that every predictor stands beside: nearest neighbours on small versions of the images themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from dlkit.data.spread import evenly

if TYPE_CHECKING:
    from dlkit.data import Split

NEIGHBOURS = 5
SIDE = 32
"""Images are shrunk to at most so many rows and columns."""
TRAIN_IMAGES = 3_000
"""At most so many training images are neighbours: a sample spread evenly over the split."""

_CHUNK = 1 << 26  # bytes of raw images held at once
Pixels = NDArray[np.float32]
_kept: WeakKeyDictionary[Split, tuple[NDArray[np.int64], Pixels]] = WeakKeyDictionary()


def small_pixels(split: Split, indices: NDArray[np.int64]) -> Pixels:
    """Images as rows of numbers in [0, 1], ``(n, C · h · w)`` with h, w ≤ 32: the means of f × f pixels.

    f is the smallest whole number that makes both sides small enough; what is left over at the right and at the
    bottom is cut off. A split remembers the last ones that were asked of it.

    Raises:
        DataError: an image cannot be read any more.
    """
    known = _kept.get(split)
    if known is None or not np.array_equal(known[0], indices):
        known = indices, _shrunk(split, indices)
        _kept[split] = known
    return known[1]


def _shrunk(split: Split, indices: NDArray[np.int64]) -> Pixels:
    if len(indices) == 0:
        return np.zeros((0, 1), np.float32)
    probe = split.raw(torch.from_numpy(indices[:1]))
    size = max(1, _CHUNK // probe[0].nbytes)
    chunks = (_raw(split, indices[start : start + size]) for start in range(0, len(indices), size))
    return np.concatenate([block_means(raw).reshape(len(raw), -1) for raw in chunks])


def _raw(split: Split, indices: NDArray[np.int64]) -> NDArray[np.generic]:
    """Raw images, not copied where they are in memory one after the other."""
    if not split.in_memory:
        return np.asarray(split.raw(torch.from_numpy(indices)).numpy())
    images, first = split.tensor.numpy(), int(indices[0])
    if np.array_equal(indices, np.arange(first, first + len(indices))):
        return np.asarray(images[first : first + len(indices)])
    return np.asarray(images[indices])


def block_means(raw: NDArray[np.generic]) -> Pixels:
    """Raw images ``(N, C, H, W)``, uint8 or float32 → ``(N, C, h, w)`` float32 in [0, 1]."""
    height, width = raw.shape[2:]
    factor = -(-max(height, width) // SIDE)
    rows, columns = height // factor or 1, width // factor or 1
    down, across = min(factor, height), min(factor, width)
    # Whole rows are added before columns, in integers: one pass over the memory, ten times as fast as a pooling layer.
    wide = np.float32 if raw.dtype == np.float32 else np.uint16 if factor <= 16 else np.uint32  # 16² × 255 < 2¹⁶
    lines = np.zeros((*raw.shape[:2], rows, width), wide)
    for offset in range(down):
        lines += raw[:, :, offset : offset + down * (rows - 1) + 1 : down]
    sums = np.zeros((*raw.shape[:2], rows, columns), wide)
    for offset in range(across):
        sums += lines[:, :, :, offset : offset + across * (columns - 1) + 1 : across]
    white = 1.0 if raw.dtype == np.float32 else 255.0
    return sums.astype(np.float32) / np.float32(down * across * white)


def nearest(train: Split, known: NDArray[np.bool_], test: Split, wanted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The training images whose :func:`small_pixels` are nearest (Euclidean), five for each, the nearest first.

    Args:
        train: where neighbours come from.
        known: ``(N,)``, which of them may be neighbours, at least one.
        test: the images whose neighbours are looked for.
        wanted: ``(M,)``, for which of them.

    Returns:
        Indices into ``train``, ``(number wanted, 5)``, or fewer columns where there are fewer images.
    """
    chosen = np.flatnonzero(known)
    if len(chosen) > TRAIN_IMAGES:
        chosen = chosen[evenly(len(chosen), TRAIN_IMAGES).numpy()]
    search = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(chosen)), algorithm="brute")
    search.fit(small_pixels(train, chosen))
    found = search.kneighbors(small_pixels(test, np.flatnonzero(wanted)), return_distance=False)
    return np.asarray(chosen[found], dtype=np.int64)
