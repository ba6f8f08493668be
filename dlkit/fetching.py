"""Files by HTTP: waited for while they come at a fair pace, checked before they are kept, never half there. Light."""

from __future__ import annotations

import hashlib
import http.client
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from dlkit.display import Display
from dlkit.files import atomic_path

ANSWER = 8.0
"""Seconds until a server must have answered; with two mirrors an offline machine knows within 16."""

SPAN = 30.0
"""Seconds in each of which a file must come on by :data:`LEAST`; servers that drip would be waited for without end."""

LEAST = 30 << 10
"""Bytes: 1 KiB a second, the pace that curl's ``--speed-limit`` is mostly given."""

_CHUNK = 1 << 20
_GLANCE = 0.1  # seconds between looks at how far it has come


class FetchError(Exception):
    """An address that gave nothing, or not the file; its text is the reason."""


def fetch(
    url: str, target: Path, display: Display, digest: tuple[str, str] = ("", ""), answer: float | None = None
) -> None:
    """Have the file that an address names.

    Args:
        url: of HTTP.
        target: appears whole, and only if it is right.
        display: where progress is shown.
        digest: how it is checked: a name of :mod:`hashlib` and the beginning of its hexadecimal digest.
        answer: seconds within which the server must answer; None: :data:`ANSWER`.

    Raises:
        FetchError: no answer, an error, too slow, cut off, or another file.
        DlkitError: it cannot be written.
    """
    with atomic_path(target) as part:
        transfer = _Transfer(url, part)
        transfer.start()
        try:
            _watch(transfer, target.name, display, ANSWER if answer is None else answer)
        finally:
            transfer.wanted = False
        if transfer.total is not None and transfer.got != transfer.total:
            raise FetchError(f"cut off: {transfer.got:,} of {transfer.total:,} bytes came")
        if not digest_begins(part, *digest):
            raise FetchError(f"what came is another file: its {digest[0].upper()} is not {digest[1]}")


def digest_begins(path: Path, name: str, beginning: str) -> bool:
    """Whether the file's digest of this name begins so; every file's begins with nothing.

    Raises:
        OSError: it cannot be read.
    """
    if not beginning:
        return True
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, lambda: hashlib.new(name, usedforsecurity=False))
    return found.hexdigest().startswith(beginning)


class _Transfer(threading.Thread):
    """Reads an address into a file, for as long as that is ``wanted``.

    In a thread, since looking up a name and reading a header have no time limits of their own; where it is given up the
    thread ends with the next byte that comes, or with the process.
    """

    def __init__(self, url: str, path: Path) -> None:
        super().__init__(daemon=True)
        self.url, self.path = url, path
        self.answered = threading.Event()
        self.wanted = True
        self.total: int | None = None
        self.got = 0
        self.error: Exception | None = None

    def run(self) -> None:
        """Read it all."""
        try:
            with self.path.open("wb") as file:
                for chunk in self._chunks():
                    file.write(chunk)
                    self.got += len(chunk)
        except Exception as error:  # raised again by those who wait
            self.error = error
        finally:
            self.answered.set()

    def _chunks(self) -> Iterator[bytes]:
        request = urllib.request.Request(self.url, headers={"User-Agent": "dlkit"})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=SPAN) as answer:  # noqa: S310
                length = answer.headers.get("Content-Length", "")
                self.total = int(length) if length.isdecimal() else None
                self.answered.set()
                while self.wanted and (chunk := answer.read1(_CHUNK)):  # what is there; read() waits for all of it
                    yield chunk
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise FetchError(_reason(error)) from error


def _watch(transfer: _Transfer, name: str, display: Display, answer: float) -> None:
    """Wait for the end of a transfer, or of patience."""
    if not transfer.answered.wait(answer):
        raise FetchError(f"no answer within {answer:g} s")
    if transfer.error is None:
        with display.progress(f"Downloading {name}", transfer.total, "B") as progress:
            shown, before, since = 0, 0, time.monotonic()
            while transfer.is_alive():
                transfer.join(_GLANCE)
                got, now = transfer.got, time.monotonic()
                progress.advance(got - shown)
                shown = got
                if now - since >= SPAN:
                    if got - before < LEAST:
                        raise FetchError(f"too slow: {got - before:,} bytes in {now - since:.0f} s")
                    before, since = got, now
    if transfer.error is not None:
        raise transfer.error


def _reason(error: BaseException) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"{error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return str(getattr(error.reason, "strerror", None) or error.reason)
    if isinstance(error, TimeoutError):
        return f"not a byte within {SPAN:.0f} s"
    return str(error) or type(error).__name__
