"""Opening files that may not be what they seem: pipes, devices, giants, links that lead elsewhere."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path
from typing import BinaryIO

_MOST_TEXT = 256 << 20
"""Bytes of a text that is read at once; a run's largest are below a tenth of it."""


def regular_file(path: Path, most: int) -> BinaryIO:
    """A file, opened for reading; a pipe or a device, which may never end, is none.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is no regular file, or has more than ``most`` bytes.
    """
    stream = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")  # nobody may be at a pipe's other end
    about = os.fstat(stream.fileno())
    if stat.S_ISREG(about.st_mode) and about.st_size <= most:
        return stream
    stream.close()
    if stat.S_ISREG(about.st_mode):
        raise ValueError(f"{about.st_size:,} bytes: more than the limit of {most:,}")
    raise ValueError("a folder, a pipe or a device, not a file")


def to_append(path: Path) -> BinaryIO:
    """A file, opened to write at its end; made where there is none. A link might lead anywhere, and is not followed.

    Raises:
        OSError: it cannot be opened.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        return os.fdopen(os.open(path, flags, 0o666), "ab")
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise OSError(errno.ELOOP, "it is a link, which is not followed") from None


def read_text(path: Path) -> str:
    """A text file in UTF-8, of a size that people's and programs' notes have.

    Raises:
        OSError, ValueError: it cannot be read, or is something else.
    """
    with io.TextIOWrapper(regular_file(path, _MOST_TEXT), encoding="utf-8") as stream:
        return stream.read()
