"""The images that there are: listed, with splits and labels, each read at its own size unless a size is asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dlkit.data.files import FileImages
from dlkit.data.listing import SPLITS, UNLABELLED, Floats, Ints
from dlkit.data.load import list_data
from dlkit.data.resolve import source_of
from dlkit.data.spec import DataSpec
from dlkit.data.text import enumerated
from dlkit.display import Display
from dlkit.errors import DataError
from dlkit.options.core import DataOptions

_BATCH_PIXELS = 1 << 22
_MOST = 256


class Material:
    """A data set that is to be enlarged.

    Args:
        options: what it is; ``image_size`` and ``channels`` bring all images to one form.
        display: where progress is shown.

    Attributes:
        splits: int64 ``(N,)``, numbers in ``SPLITS``; negative: left out.
        sizes: int64 ``(N, 2)``, height and width.
        channels: 1 or 3, of all images.
        deep: images have more than 8 bits.
        skipped: names of images that cannot be read.

    Raises:
        DataError: there is no such data, no training image, or an image cannot be read and is not to be skipped.
    """

    def __init__(self, options: DataOptions, display: Display) -> None:
        self.options = options
        self.listing, self.splits = list_data(options, display)
        survey = self.listing.images.survey(display)
        self.channels = int(options.channels) if options.channels != "auto" else 1 if survey.grey else 3
        self.deep = survey.deep
        self.sizes = survey.sizes
        self.skipped: list[str] = []
        self.skip(np.flatnonzero((self.sizes[:, 0] == 0) & (self.splits >= 0)))
        if options.image_size is not None:
            self.sizes = np.broadcast_to((options.image_size.height, options.image_size.width), self.sizes.shape)
        if len(self.train) == 0:
            raise DataError(f"{self.listing.name}: no training images.", "Only training images are augmented.")

    @property
    def train(self) -> Ints:
        """The numbers of the training images, in order."""
        return np.flatnonzero(self.splits == SPLITS.index("train"))

    @property
    def untouched(self) -> bool:
        """Whether images are kept as the files that they are."""
        given = self.options.image_size is not None or self.options.channels != "auto"
        return isinstance(self.listing.images, FileImages) and not given

    def file(self, image: int) -> Path:
        """The file of an image, of :attr:`untouched` ones."""
        images = self.listing.images
        assert isinstance(images, FileImages)  # noqa: S101 - as untouched says
        return images.paths[image]

    def name(self, image: int) -> str:
        """What an image is called: its file, or its number in the data."""
        images = self.listing.images
        if isinstance(images, FileImages):
            return str(Path(images.paths[image]).absolute())
        return f"{source_of(self.options.data)}[{image}]"

    def label(self, image: int) -> tuple[str, ...]:
        """The cells of an image's labels, as a manifest has them, one for each of :attr:`columns`."""
        listing = self.listing
        if listing.targets is not None:
            return self.cells(listing.targets[image])
        number = UNLABELLED if listing.labels is None else int(listing.labels[image])
        return ("" if number == UNLABELLED else listing.classes[number],)

    def cells(self, row: Floats) -> tuple[str, ...]:
        """The cells of several labels or of numbers ``(K,)``; NaN where unknown."""
        if self.listing.target == "number":
            return tuple("" if np.isnan(value) else repr(float(value)) for value in row.tolist())
        names = [name for name, value in zip(self.listing.classes, row, strict=True) if value > 0]
        return ("" if np.isnan(row).all() else ";".join(names) or ";",)

    @property
    def columns(self) -> tuple[str, ...]:
        """The manifest's columns of labels."""
        return self.listing.classes if self.listing.target == "number" else ("label",)

    def spec(self, size: Sequence[int] | Ints) -> DataSpec:
        """The form of images of a size."""
        chosen = self.options.image_size is not None
        return DataSpec(
            source="", name=self.listing.name, channels=self.channels, height=int(size[0]), width=int(size[1]),
            pixel_type="float32" if self.deep else "uint8", resize=self.options.resize if chosen else "stretch",
        )  # fmt: skip

    def batches(self, images: Ints) -> Iterator[Ints]:
        """The images in parts of one size each that are read at once, those of the commonest sizes together."""
        if len(images) == 0:
            return
        _, group = np.unique(self.sizes[images], axis=0, return_inverse=True)
        for number in range(int(group.max()) + 1):
            alike = images[group.ravel() == number]
            height, width = self.sizes[alike[0]]
            most = max(1, min(_MOST, _BATCH_PIXELS // int(height * width)))
            yield from (alike[start : start + most] for start in range(0, len(alike), most))

    def read(self, images: Ints) -> tuple[Ints, Tensor]:
        """Images of one size → those that can be read, and their raw pixels ``(n, C, H, W)``.

        Raises:
            DataError: one cannot be read, and is not to be skipped.
        """
        spec = self.spec(self.sizes[images[0]])
        out = np.empty((len(images), *spec.shape), dtype=spec.pixel_type)
        broken = self.listing.images.read(images, spec, out)
        self.skip(images[list(broken)], list(broken.values()))
        good = np.setdiff1d(np.arange(len(images)), list(broken))
        return images[good], torch.from_numpy(out[good])

    def skip(self, images: Ints, reasons: Sequence[str] = ()) -> None:
        """Leave images out that cannot be read.

        Raises:
            DataError: they are not to be skipped.
        """
        if len(images) == 0:
            return
        lines = [f"{self.name(int(image))}: {reason}" for image, reason in
                 zip(images, reasons or ["not an image that can be read"] * len(images), strict=True)]  # fmt: skip
        if self.options.on_bad_image == "stop":
            raise DataError(
                f"{len(images):,} image{'s' if len(images) > 1 else ''} cannot be read:\n{enumerated(lines)}",
                "Repair or remove them, or go on without them: --on-bad-image skip.",
            )
        self.skipped += lines
        self.splits[images] = -1

    @cached_property
    def digest(self) -> str:
        """SHA-256 of names, labels, splits and sizes: whether this is the data that it was."""
        listing = self.listing
        facts = [listing.target, listing.classes, self.channels, self.deep]
        digest = hashlib.sha256(json.dumps(facts).encode())
        for image in range(len(listing.images)):
            digest.update(json.dumps([self.name(image), self.label(image)]).encode())
        digest.update(np.ascontiguousarray(self.splits, dtype="<i8").tobytes())
        digest.update(np.ascontiguousarray(self.sizes, dtype="<i8").tobytes())
        return digest.hexdigest()
