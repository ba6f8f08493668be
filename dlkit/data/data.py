"""Images in splits, ready for training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlkit.data.listing import Images, Ints
from dlkit.data.memory import check_batch
from dlkit.data.spec import DataSpec
from dlkit.errors import DataError

if TYPE_CHECKING:
    from dlkit.augment.training import Augmentation


@dataclass(frozen=True)
class BadImage:
    """An image file that could not be read."""

    path: str
    reason: str


@dataclass(frozen=True)
class Duplicate:
    """An image of one split whose pixels are those of an image of another; each as (split, index in it)."""

    first: tuple[str, int]
    second: tuple[str, int]


def to_pixels(raw: Tensor) -> Tensor:
    """Raw images → float32 in [0, 1], on the same device: uint8 / 255, float32 as it is."""
    return raw.to(torch.float32).div_(255) if raw.dtype == torch.uint8 else raw


class Pixels(Protocol):
    """Where a split's raw images are."""

    def __len__(self) -> int: ...

    def raw(self, indices: Tensor | None) -> Tensor:
        """``(n, C, H, W)``."""
        ...

    def subset(self, indices: Tensor) -> Pixels:
        """Some of them."""
        ...


class Resident:
    """Raw images in one tensor ``(N, C, H, W)``."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def __len__(self) -> int:
        return len(self.tensor)

    def raw(self, indices: Tensor | None) -> Tensor:
        """A copy of some, or the tensor itself."""
        return self.tensor if indices is None else self.tensor.index_select(0, indices)

    def subset(self, indices: Tensor) -> Resident:
        """A copy of some."""
        return Resident(self.tensor.index_select(0, indices))


class Streamed:
    """Raw images that are read when they are asked for; may be asked from any thread."""

    def __init__(self, images: Images, indices: Ints, spec: DataSpec) -> None:
        self._images, self._indices, self._spec = images, indices, spec

    def __len__(self) -> int:
        return len(self._indices)

    def raw(self, indices: Tensor | None) -> Tensor:
        """Read some, or all.

        Raises:
            DataError: a file that could be read before training cannot be read any more; too many for memory.
        """
        wanted = self._indices if indices is None else self._indices[indices.numpy()]
        check_batch(self._spec, len(wanted))
        out = np.empty((len(wanted), *self._spec.shape), dtype=self._spec.pixel_type)
        for position, reason in self._images.read(wanted, self._spec, out).items():
            names = self._images.names
            name = names[int(wanted[position])] if names else f"image {wanted[position]}"
            raise DataError(f"{name}: cannot be read any more: {reason}", "Was it changed or moved during training?")
        return torch.from_numpy(out)

    def subset(self, indices: Tensor) -> Streamed:
        """Some of them, read when asked for."""
        return Streamed(self._images, self._indices[indices.numpy()], self._spec)


class Split:
    """Images that serve one purpose.

    Attributes:
        name: ``train``, ``val`` or ``test``.
        labels: int64 ``(N,)``, -1 where unlabelled; None where the data has no labels at all, or has ``targets``.
        targets: float32 ``(N, K)`` for ``spec.target`` *multi-label* (0 or 1) and *number*; NaN where unlabelled.
        files: a printable name for each image, where it came from a file.
        digests: uint8 ``(N, 32)``, SHA-256 of each raw image: what a cache of features knows it by. None where the
            split was not made by :func:`load_data`.
        sources: int64 ``(N,)``: images with the same number are augmented copies of one another, and belong into the
            same fold of a cross-validation. None: each stands for itself.
        augmentation: what ``runtime.fit`` does to the batches that it makes of these images; None: nothing.
    """

    def __init__(
        self,
        name: str,
        pixels: Pixels,
        labels: Tensor | None,
        files: Sequence[str] | None,
        digests: NDArray[np.uint8] | None = None,
        targets: Tensor | None = None,
        *,
        sources: Tensor | None = None,
        augmentation: Augmentation | None = None,
    ) -> None:
        self.name = name
        self.labels = labels
        self.files = files
        self.digests = digests
        self.targets = targets
        self.sources = sources
        self.augmentation = augmentation
        self._pixels = pixels

    def __len__(self) -> int:
        return len(self._pixels)

    def __repr__(self) -> str:
        return f"Split({self.name!r}, {len(self)} images)"

    @property
    def in_memory(self) -> bool:
        """Whether :attr:`tensor` is there, so that :meth:`raw` only indexes."""
        return isinstance(self._pixels, Resident)

    @property
    def tensor(self) -> Tensor:
        """All raw images, ``(N, C, H, W)``; not a copy, so do not write into it.

        Raises:
            RuntimeError: the split is not in memory.
        """
        if not isinstance(self._pixels, Resident):
            raise RuntimeError(  # noqa: TRY004
                f"the {self.name} split is not in memory: use raw(indices)"
            )
        return self._pixels.tensor

    def raw(self, indices: Tensor | None = None) -> Tensor:
        """Raw images ``(n, C, H, W)`` on the CPU, uint8 or float32 as the spec's ``pixel_type`` says.

        Args:
            indices: int64 ``(n,)``; by default all, in order.

        Raises:
            DataError: a file cannot be read any more.
        """
        return self._pixels.raw(indices)

    def pixels(self, indices: Tensor | None = None) -> Tensor:
        """The same as float32 in [0, 1]."""
        return to_pixels(self.raw(indices))

    def renamed(self, name: str) -> Split:
        """The same images for another purpose."""
        return self._with(self._pixels, name, self.augmentation)

    def augmented(self, augmentation: Augmentation | None) -> Split:
        """The same images, which ``runtime.fit`` augments in this way; None: not any more."""
        return self._with(self._pixels, self.name, augmentation)

    def _with(self, pixels: Pixels, name: str, augmentation: Augmentation | None) -> Split:
        return Split(name, pixels, self.labels, self.files, self.digests, self.targets, sources=self.sources,
                     augmentation=augmentation)  # fmt: skip

    def subset(self, indices: Tensor) -> Split:
        """The split of the images at ``indices``, int64 ``(n,)``."""
        labels = None if self.labels is None else self.labels.index_select(0, indices)
        files = None if self.files is None else [self.files[index] for index in indices.tolist()]
        digests = None if self.digests is None else self.digests[indices.numpy()]
        targets = None if self.targets is None else self.targets.index_select(0, indices)
        sources = None if self.sources is None else self.sources.index_select(0, indices)
        return Split(self.name, self._pixels.subset(indices), labels, files, digests, targets, sources=sources,
                     augmentation=self.augmentation)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ImageData:
    """A data set: its spec and its splits, each possibly of length 0.

    Attributes:
        notices: what the user should know (images skipped, resized, in two splits…).
        bad_files: the files that could not be read and were skipped.
        duplicates: images whose very pixels are in an earlier split too.
        original_sizes: least and greatest height, least and greatest width, before resizing.
    """

    spec: DataSpec
    train: Split
    val: Split
    test: Split
    notices: tuple[str, ...] = ()
    bad_files: tuple[BadImage, ...] = ()
    duplicates: tuple[Duplicate, ...] = ()
    original_sizes: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def splits(self) -> tuple[Split, Split, Split]:
        """train, val, test."""
        return self.train, self.val, self.test

    @property
    def held_out(self) -> Split:
        """What figures are reported on: test where there is one, else val, else train."""
        return next((split for split in (self.test, self.val) if len(split)), self.train)
