"""What a source of images holds before a pixel is read at its final size: the common form of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dlkit.data.spec import DataSpec, TargetKind
from dlkit.data.text import natural
from dlkit.display import Display
from dlkit.errors import DataError
from dlkit.options.values import MOST_SIDE

SPLITS = ("train", "val", "test")
ORIGINS = ("original", "augmented", "generated")
"""What an image of an enlarged data set is (`dlkit augment`): as it was there, a copy of one, or made by a model."""
UNASSIGNED = -1
"""Split number of an image for which the source names no split."""
UNLABELLED = -1
_MIXED_SIZE = 64

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Pixels = NDArray[Any]
"""uint8 (white is 255) or float32 (white is 1)."""


@dataclass(frozen=True)
class Survey:
    """What is known without decoding.

    Attributes:
        sizes: ``(N, 2)``, height and width of each image, upright; 0 where unreadable.
        grey: all images are grey.
        deep: an image has more than 8 bits per channel.
    """

    sizes: Ints
    grey: bool
    deep: bool

    def size(self) -> tuple[int, int]:
        """Height and width that the images are best brought to: their own, where they agree.

        Raises:
            DataError: these are beyond what a run can tell of.
        """
        sizes = np.unique(self.sizes[self.sizes[:, 0] > 0], axis=0)
        if len(sizes) != 1:
            return _MIXED_SIZE, _MIXED_SIZE
        height, width = map(int, sizes[0])
        if max(height, width) > MOST_SIDE:
            raise DataError(
                f"The images are {height} × {width}; a side may have at most {MOST_SIDE}.", "Choose an --image-size."
            )
        return height, width


class Images(Protocol):
    """N images, wherever they are."""

    @property
    def names(self) -> Sequence[str] | None:
        """A printable name for each image, where it came from a file."""
        ...

    def __len__(self) -> int: ...

    def survey(self, display: Display) -> Survey:
        """Sizes and kinds."""
        ...

    def read(self, indices: Ints, spec: DataSpec, out: Pixels) -> dict[int, str]:
        """Bring images to the spec's form, into the rows of ``out`` ``(n, C, H, W)``.

        Returns:
            Position in ``indices`` → reason, for the images that cannot be read.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Images with labels and splits.

    Attributes:
        name: short, for run directories and titles.
        images: N images.
        labels: ``(N,)``, -1 where unlabelled; None where the source has no labels, or has targets.
        targets: ``(N, K)``, 0 or 1 for each label, or numbers; NaN where unknown.
        target: what the labels say.
        classes: names that the labels number, or names of the targets' columns.
        columns: the manifest's columns that the labels come from; what they say may be guessed then.
        splits: ``(N,)``, number in :data:`SPLITS`, or -1 where the source names none.
        origins: what each image is, one of :data:`ORIGINS`; None where the source does not say.
        sources: ``(N,)``: an augmented copy has the number of the image that it was made of, others their own; None
            where there are no copies.
        notices: what the user should know.
    """

    name: str
    images: Images
    labels: Ints | None = None
    targets: Floats | None = None
    target: TargetKind = "classes"
    columns: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    splits: Ints
    origins: tuple[str, ...] | None = None
    sources: Ints | None = None
    notices: tuple[str, ...] = ()


def number_classes(names: Sequence[str | None]) -> tuple[Ints | None, tuple[str, ...]]:
    """Labels by name (None: unlabelled) → numbers in natural order of the names, and those names."""
    classes = tuple(sorted({name for name in names if name is not None}, key=natural))
    if not classes:
        return None, ()
    number: dict[str | None, int] = {name: index for index, name in enumerate(classes)}
    return np.array([number.get(name, UNLABELLED) for name in names], dtype=np.int64), classes


def unassigned(count: int) -> Ints:
    """Splits of a source that names none."""
    return np.full(count, UNASSIGNED, dtype=np.int64)
