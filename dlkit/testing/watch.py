"""Watching what Python code writes and where it connects, through audit events (PEP 578)."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGING = {"os.mkdir": 1, "os.remove": 1, "os.rmdir": 1, "os.rename": 2, "os.link": 2, "os.symlink": 2,
             "os.truncate": 1, "os.chmod": 1, "os.utime": 1}  # fmt: skip
"""Event → how many of its first arguments are paths."""
_WITHIN = {"os.mkdir": 2, "os.remove": 1, "os.rmdir": 1}
"""Event → which of its arguments is the descriptor of the folder that the path is relative to: ``shutil.rmtree``."""


@dataclass
class Seen:
    """What happened: files that were written or changed, and addresses that were connected to.

    Temporary files count where they are left.
    """

    writes: set[str] = field(default_factory=set)
    connections: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Watch:
    allowed: tuple[str, ...]
    apart_from: str
    seen: Seen
    temporary: set[str] = field(default_factory=set)

    def hear(self, path: str) -> None:
        """Note that a file is written, unless it is within what is allowed, a device, or bytecode."""
        if any(path == place or path.startswith(place + os.sep) for place in self.allowed):
            return
        if path.startswith("/dev/") or "__pycache__" in path:
            return
        temporary = os.path.realpath(tempfile.gettempdir())
        if path.startswith(temporary + os.sep) and not path.startswith(self.apart_from + os.sep):
            if not path.startswith(f"{temporary}{os.sep}torchinductor_"):  # PyTorch's cache
                self.temporary.add(path)
        else:
            self.seen.writes.add(path)


_watches: list[_Watch] = []


@contextmanager
def watching(allowed: Sequence[Path], apart_from: Path) -> Iterator[Seen]:
    """Note what is written outside ``allowed``, by any thread of this process, while the block runs.

    Args:
        allowed: folders.
        apart_from: a folder among the temporary files that is not to be written to, but for ``allowed``.
    """
    _install()
    watch = _Watch(tuple(os.path.realpath(path) for path in allowed), os.path.realpath(apart_from), Seen())
    _watches.append(watch)
    try:
        yield watch.seen
    finally:
        _watches.remove(watch)
        watch.seen.writes |= {path for path in watch.temporary if os.path.lexists(path)}


@cache
def _install() -> None:
    sys.addaudithook(_heard)  # cannot be taken away again; without watches it costs a look at an empty list


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watches:
        return
    if event == "open":
        path, _, flags = arguments
        if isinstance(flags, int) and flags & _WRITING:
            _note(path)
    elif event in _CHANGING:
        folder = _folder(arguments[_WITHIN[event]]) if event in _WITHIN else ""
        for path in arguments[: _CHANGING[event]] if event != "os.symlink" else arguments[1:2]:
            if folder is not None:
                _note(os.path.join(folder, os.fsdecode(path)) if folder else path)  # noqa: PTH118
    elif event == "socket.connect":
        for watch in _watches:
            watch.seen.connections.add(str(arguments[1]))


def _folder(descriptor: int) -> str | None:
    """The folder that a descriptor is of; empty for none, None where the system does not tell."""
    if descriptor == -1:
        return ""
    try:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())
    except OSError:
        return None


def _note(path: object) -> None:
    if not isinstance(path, str | bytes | os.PathLike):  # a descriptor, whose opening was heard
        return
    found = Path(os.fsdecode(path))
    text = str(found.parent.resolve() / found.name)  # the name itself may be a link that is being replaced
    for watch in _watches:
        watch.hear(text)
