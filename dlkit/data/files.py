"""Images in files, decoded by a few threads (PIL decodes without the interpreter's lock)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import numpy as np

from dlkit.data.decode import DEEP_MODES, GREY_MODES, allowed_formats, fit, opened, quiet_pil, upright_size
from dlkit.data.listing import Ints, Pixels, Survey
from dlkit.data.spec import DataSpec
from dlkit.data.text import shown
from dlkit.display import Display
from dlkit.opening import regular_file

_MOST_BYTES = 1 << 30  # what an image of Pillow's limit of 89 million pixels takes uncompressed with 3 × 4 bytes each

T = TypeVar("T")
R = TypeVar("R")


def usable_cpus() -> int:
    """CPUs that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class FileImages:
    """Image files.

    Args:
        paths: the files.
        names: what they are called in messages and results; by default their paths.
        workers: decoding threads; by default one per usable CPU.
    """

    def __init__(self, paths: Sequence[Path], names: Sequence[str] | None = None, workers: int | None = None) -> None:
        self.paths = paths
        self.names: Sequence[str] = [shown(name) for name in (paths if names is None else names)]
        self.workers = workers or usable_cpus()
        self._formats = allowed_formats()

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.workers, thread_name_prefix="decode")

    def _map(self, work: Callable[[T], R], items: Iterable[T], count: int) -> Iterator[R]:
        if self.workers == 1 or count < 2:
            return map(work, items)
        return self._pool.map(work, items)

    def survey(self, display: Display) -> Survey:
        """Read the headers; a file that has none counts as size 0 and is caught when it is decoded."""
        sizes = np.zeros((len(self), 2), dtype=np.int64)
        modes: set[str] = set()
        with quiet_pil(), display.progress("Reading headers", len(self), "files") as progress:
            for index, header in enumerate(self._map(self._header, self.paths, len(self))):
                progress.advance()
                if header is not None:
                    sizes[index] = header[0]
                    modes.add(header[1])
        return Survey(sizes, grey=bool(modes) and modes <= GREY_MODES, deep=bool(modes & DEEP_MODES))

    def _header(self, path: Path) -> tuple[tuple[int, int], str] | None:
        try:
            with regular_file(path, _MOST_BYTES) as stream, opened(stream, self._formats) as image:
                return upright_size(image), image.mode
        except Exception:  # a broken file may raise anything; decoding it gives the reason
            return None

    def read(self, indices: Ints, spec: DataSpec, out: Pixels) -> dict[int, str]:
        """Decode files; see :class:`dlkit.data.listing.Images`."""

        def decode(position: int) -> str | None:
            try:
                with regular_file(self.paths[indices[position]], _MOST_BYTES) as stream:
                    content = BytesIO(stream.read())  # one read instead of a system call for every few kB
                with opened(content, self._formats) as image:
                    out[position] = fit(image, spec)
            except Exception as error:  # a broken file may raise anything
                return _reason(error)
            return None

        reasons = self._map(decode, range(len(indices)), len(indices))
        return {position: reason for position, reason in enumerate(reasons) if reason is not None}


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = shown(error)
    if "cannot identify image file" in text:
        return "not an image that can be read"
    return text or type(error).__name__
