"""A split's images as batches on the training device: from memory, or streamed by threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dlkit.data import to_pixels
from dlkit.runtime.processes import Processes

if TYPE_CHECKING:
    from dlkit.data import Split

Cuts = Sequence[tuple[int, int]]
"""Where batches start and stop in the order of the images."""

_GPU_SHARE = 0.25
"""A split moves to the GPU once where it takes at most this share of the memory that is free."""


@dataclass(slots=True)
class Batch:
    """Some images of a split, on the training device.

    Attributes:
        images: pixels, float32 in [0, 1], ``(B, C, H, W)``.
        labels: int64 ``(B,)``, -1 for unlabelled; None where the data has no labels.
        indices: int64 ``(B,)``, which images of the split these are.
        targets: float32 ``(B, K)`` where the data has several labels per image, or numbers; else None.
    """

    images: Tensor
    labels: Tensor | None
    indices: Tensor
    targets: Tensor | None = None

    def __len__(self) -> int:
        return self.indices.shape[0]


def cut(count: int, size: int, *, merge_single: bool = False) -> Cuts:
    """``count`` images in batches of ``size``; the last one may be smaller.

    Args:
        merge_single: a last batch of one image joins the one before it (batch norm needs two).
    """
    cuts = [(start, min(start + size, count)) for start in range(0, count, size)]
    if merge_single and size > 1 and len(cuts) > 1 and count % size == 1:
        cuts[-2:] = [(cuts[-2][0], count)]
    return cuts


def epoch_order(count: int, weights: Tensor | None, seed: int) -> Tensor:
    """The images of an epoch, int64 ``(count,)`` on the CPU: a permutation, or draws in proportion to weights."""
    generator = torch.Generator().manual_seed(seed)
    if weights is None:
        return torch.randperm(count, generator=generator)
    return torch.multinomial(weights, count, replacement=True, generator=generator)


class Feed:
    """Batches of one split; made once per split, so that a GPU receives the images once.

    Args:
        split: where the images are.
        device: where batches go.
        workers: threads that read images of a split that is not in memory.
    """

    def __init__(self, split: Split, device: torch.device, workers: int) -> None:
        self.count, self.device, self.workers = len(split), device, workers
        self.resident: Tensor | None = None
        if split.in_memory and _fits(split.tensor, device):
            self.resident = split.tensor.to(device)
        self.labels = None if split.labels is None else split.labels.to(device)
        self.targets = None if split.targets is None else split.targets.to(device)
        self._read = split.raw

    def batches(self, order: Tensor | None, cuts: Cuts, sharing: Processes | None = None) -> Iterator[Batch]:
        """The images in ``order`` (int64 on the CPU; None: as they are), in batches as cut.

        Args:
            order: which images.
            cuts: where batches start and stop in it.
            sharing: processes that all ask for the same batches, of which each reads its share from the disk.

        Raises:
            DataError: whatever reading an image raises, at the batch that needed it.
        """
        if self.resident is None or sharing is not None:
            everything = torch.arange(self.count) if order is None else order
            return self._streamed(everything, cuts, sharing or Processes())
        return self._sliced(self.resident, cuts) if order is None else self._indexed(self.resident, order, cuts)

    def _sliced(self, images: Tensor, cuts: Cuts) -> Iterator[Batch]:
        indices = torch.arange(self.count, device=self.device)
        for start, end in cuts:
            labels = None if self.labels is None else self.labels[start:end]
            raw = images[start:end]
            # float32 pixels are copied, so that a technique that writes into its batch spoils nothing
            pixels = to_pixels(raw) if raw.dtype is torch.uint8 else raw.clone()
            targets = None if self.targets is None else self.targets[start:end]
            yield Batch(pixels, labels, indices[start:end], targets)

    def _indexed(self, images: Tensor, order: Tensor, cuts: Cuts) -> Iterator[Batch]:
        order, labels = order.to(self.device), self.labels
        for start, end in cuts:
            indices = order[start:end]
            pixels = to_pixels(images.index_select(0, indices))
            yield Batch(pixels, _chosen(labels, indices), indices, _chosen(self.targets, indices))

    def _streamed(self, order: Tensor, cuts: Cuts, sharing: Processes) -> Iterator[Batch]:
        pinned = self.device.type == "cuda" and sharing.count == 1

        def read(start: int, end: int) -> Tensor:
            indices = order[start:end]
            raw = self._read(indices[sharing.share(end - start)] if end - start >= sharing.count else indices)
            return raw.pin_memory() if pinned else raw

        for (start, end), raw in zip(cuts, ahead(read, cuts, self.workers), strict=True):
            if end - start >= sharing.count:
                raw = sharing.whole(raw, end - start)
            indices = order[start:end].to(self.device)
            pixels = to_pixels(raw.to(self.device, non_blocking=True))
            yield Batch(pixels, _chosen(self.labels, indices), indices, _chosen(self.targets, indices))


def _chosen(values: Tensor | None, indices: Tensor) -> Tensor | None:
    return None if values is None else values.index_select(0, indices)


def ahead(read: Callable[[int, int], Tensor], cuts: Cuts, workers: int) -> Iterator[Tensor]:
    """``read(start, end)`` for each cut, in order, computed by threads at most ``2 × workers`` batches ahead.

    An exception in ``read`` is raised here, when its turn comes. Leaving early cancels what has not begun.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="dlkit-read")
    waiting: deque[Future[Tensor]] = deque()
    try:
        for start, end in cuts:
            waiting.append(pool.submit(read, start, end))
            if len(waiting) >= 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _fits(images: Tensor, device: torch.device) -> bool:
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return images.nbytes <= _GPU_SHARE * free
