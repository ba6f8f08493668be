"""The training images as rows of numbers: all at once, or in batches that are never in memory together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from dlkit.data.spread import evenly
from dlkit.display import Progress
from dlkit.runtime import Normalize

if TYPE_CHECKING:
    from dlkit.data import Split
    from dlkit.runtime import Runtime

Rows = NDArray[Any]

BATCH_VALUES = 4_000_000
"""A large batch has so many values (32 MB in float64) unless the method needs more images."""
_CHUNK = 2_000
LEAST = 256


class TrainingRows:
    """Images of a split in the model's units, flat.

    Args:
        split: the training images.
        normalize: from pixels to the model's units.
        runtime: of the order of the images and of the progress that is shown.
    """

    def __init__(self, split: Split, normalize: Normalize, runtime: Runtime) -> None:
        self._split, self._runtime = split, runtime
        self._normalize = deepcopy(normalize).cpu()
        self.size = math.prod(split.raw(torch.zeros(1, dtype=torch.int64)).shape[1:])

    def __len__(self) -> int:
        return len(self._split)

    @property
    def values(self) -> int:
        """Numbers in all of them."""
        return len(self) * self.size

    @property
    def in_memory(self) -> bool:
        """Whether the images are."""
        return self._split.in_memory

    def whole(self, dtype: Any = np.float64) -> Rows:
        """All, ``(N, D)``."""
        rows = np.empty((len(self), self.size), dtype)
        for start in range(0, len(self), _CHUNK):
            rows[start : start + _CHUNK] = self.some(torch.arange(start, min(start + _CHUNK, len(self))))
        return rows

    def some(self, indices: torch.Tensor) -> Rows:
        """Those at ``indices``, ``(n, D)`` float32."""
        pixels = self._split.pixels(indices)
        return np.ascontiguousarray(self._normalize(pixels).flatten(1).numpy())

    def large_batch(self, least: int = 0) -> int:
        """Images in a batch where larger is better and memory is the bound: at least ``least`` and 256."""
        return max(least, LEAST, BATCH_VALUES // self.size)

    def sample(self, most: int) -> Rows:
        """At most ``most``, spread evenly, float32."""
        return self.some(evenly(len(self), most))

    def batches(self, title: str, *, size: int, passes: int = 1, dtype: Any = np.float32) -> Iterator[Rows]:
        """All images in a random order, ``passes`` times, in batches of about the same size, ``size`` or more (all
        where there are fewer); progress is shown.

        Yields:
            ``(n, D)``.
        """
        count = max(1, len(self) // size)
        generator = self._runtime.generator("decomposition", device="cpu")
        with self._progress(title, passes * len(self)) as bar:
            for _ in range(passes):
                order = torch.randperm(len(self), generator=generator)
                for indices in order.tensor_split(count):
                    yield self.some(indices.sort().values).astype(dtype, copy=False)
                    bar.advance(len(indices))

    def _progress(self, title: str, total: int) -> AbstractContextManager[Progress]:
        display = self._runtime.display
        return nullcontext(Progress()) if display is None else display.progress(title, total, "img")
