"""Which images to predict for: files, folders, or a list of paths on standard input; light."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from dlkit.data.text import natural
from dlkit.errors import DataError

STANDARD_INPUT = "-"
_DEEPEST = 200


def collect_images(arguments: Sequence[str], stdin: BinaryIO, suffixes: frozenset[str]) -> list[Path]:
    """Expand what the user named into image paths, in the order given; nothing is opened yet.

    Args:
        arguments: files (taken whatever their suffix), folders (searched recursively for ``suffixes``, in natural
            order, hidden ones left out), and ``-`` for a list of such on ``stdin``: one a line, or, where the
            list holds NUL bytes (``find -print0``), separated by these.
        stdin: where the list comes from.
        suffixes: lower-case image suffixes, with the dot.

    Raises:
        DataError: a path does not exist, a folder holds no image, or nothing was named.
    """
    paths = [path for name in _names(arguments, stdin) for path in _expand(Path(name), suffixes)]
    if not paths:
        raise DataError("There are no images to predict for: the list on standard input is empty.")
    return paths


def _names(arguments: Sequence[str], stdin: BinaryIO) -> Iterator[str]:
    for argument in arguments:
        if argument != STANDARD_INPUT:
            yield argument
            continue
        listed = stdin.read()
        separator = b"\0" if b"\0" in listed else b"\n"
        for line in listed.split(separator):
            name = line if separator == b"\0" else line.removesuffix(b"\r")
            if name:
                yield os.fsdecode(name)


def _expand(path: Path, suffixes: frozenset[str]) -> list[Path]:
    if path.is_dir():
        found = sorted(_images_in(path, suffixes), key=lambda found: natural(str(found)))
        if not found:
            raise DataError(
                f"The folder {str(path)!r} holds no images.", f"Looked for {', '.join(sorted(suffixes))}, recursively."
            )
        return found
    if not path.exists():
        raise DataError(f"There is no image or folder {str(path)!r}.")
    return [path]


def _images_in(folder: Path, suffixes: frozenset[str]) -> Iterator[Path]:
    for directory, folders, files in os.walk(folder):
        if directory.count(os.sep) - str(folder).count(os.sep) > _DEEPEST:
            raise DataError(f"{directory[:200]!r}…: folders within folders, more than {_DEEPEST}.")
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = Path(directory, name)
            if not name.startswith(".") and path.suffix.lower() in suffixes:
                yield path
