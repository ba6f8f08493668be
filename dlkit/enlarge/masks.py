"""Masks of images: a folder of files that are called as the images are, and are transformed along with them."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from dlkit.data.decode import EXTENSIONS, allowed_formats, opened, quiet_pil, upright_size
from dlkit.data.files import FileImages
from dlkit.data.listing import Ints
from dlkit.data.text import shown
from dlkit.enlarge.material import Material
from dlkit.errors import DataError, UsageError
from dlkit.opening import regular_file

_MODES = frozenset({"1", "L", "P", "I;16", "I;16B"})
_MOST_BYTES = 1 << 30


class Masks:
    """The masks of a data set's images, one for each and of its size.

    Args:
        folder: files with the images' relative names and any image suffix: grey of 8 or 16 bits, palette or 1 bit.
        material: the data, of files.

    Raises:
        UsageError: the data has no files.
        DataError: the folder cannot be read, an image has no mask or two, or one that has another form or size.
    """

    def __init__(self, folder: Path, material: Material) -> None:
        images = material.listing.images
        if not isinstance(images, FileImages):
            raise UsageError(f"--masks: {material.listing.name} has no files, by whose names masks could be found.",
                             "Masks work with folders and manifests of images.")  # fmt: skip
        self.folder, self._formats = folder, allowed_formats()
        found = _found(folder)
        used = np.flatnonzero(material.splits >= 0).tolist()
        missing = [images.names[image] for image in used if _key(images.names[image]) not in found]
        if missing:
            raise DataError(
                f"{shown(folder)}: {len(missing):,} of {len(used):,} images have no mask here; the first: {missing[0]}",
                "A mask has its image's name and path below the folder, and any image suffix.",
            )
        self._paths = {image: found[_key(images.names[image])] for image in used}
        with quiet_pil():
            for image, path in self._paths.items():
                self._check(path, images.paths[image], tuple(material.sizes[image].tolist()))

    def _check(self, path: Path, image: Path, size: tuple[int, int]) -> None:
        with self._opened(path) as mask:
            mode, own = mask.mode, upright_size(mask)
        if mode not in _MODES:
            raise DataError(f"{shown(path)}: a mask must be grey, palette or 1-bit, not {mode}.",
                            "Write the labels of pixels as a grey PNG.")  # fmt: skip
        if own != size:
            raise DataError(f"The mask {shown(path)} has {own[1]} × {own[0]} pixels, but the image {shown(image)} has "
                            f"{size[1]} × {size[0]}.")  # fmt: skip

    @contextmanager
    def _opened(self, path: Path) -> Iterator[Image.Image]:
        try:
            with regular_file(path, _MOST_BYTES) as stream, opened(stream, self._formats) as mask:
                yield mask
        except DataError:
            raise
        except Exception as error:  # a broken file may raise anything
            raise DataError(f"{shown(path)}: a mask that cannot be read: {shown(error)}") from error

    def values(self, image: int) -> Tensor:
        """The labels of an image's pixels, int32 ``(H, W)``: of a palette the places in it, of 1 bit 0 and 1.

        Raises:
            DataError: the file cannot be read.
        """
        with self._opened(self._paths[image]) as mask:
            return torch.from_numpy(np.array(ImageOps.exif_transpose(mask)).astype(np.int32))

    def read(self, images: Ints) -> Tensor:
        """The masks of images of one size, int32 ``(n, 1, H, W)``."""
        return torch.stack([self.values(image) for image in images.tolist()])[:, None]

    def encoded(self, image: int, values: Tensor) -> bytes:
        """Values ``(H, W)`` as a PNG file's content, of the same kind as the image's own mask."""
        with self._opened(self._paths[image]) as mask:
            mode, palette = mask.mode, mask.getpalette()
        kind = {"1": np.bool_, "L": np.uint8, "P": np.uint8}.get(mode, np.uint16)
        picture = Image.fromarray(values.numpy().astype(kind))
        if mode == "P" and palette is not None:
            picture.putpalette(palette + [0] * (768 - len(palette)))  # a shorter one would cut values off
        stream = io.BytesIO()
        picture.save(stream, "PNG")
        return stream.getvalue()


def _found(folder: Path) -> dict[str, Path]:
    """Image files by their paths below the folder, without suffix.

    Raises:
        DataError: there is no such folder, or two files have one name.
    """
    if not folder.is_dir():
        raise DataError(f"--masks {shown(folder)}: no such folder.")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in EXTENSIONS and path.is_file():
            key = _key(shown(path.relative_to(folder)))
            if key in found:
                raise DataError(f"{shown(found[key])} and {shown(path)} are masks of the same name.", "Keep one.")
            found[key] = path
    return found


def _key(name: str) -> str:
    return os.path.normpath(Path(name).with_suffix(""))
