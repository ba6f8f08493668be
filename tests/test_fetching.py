"""Files by HTTP, from servers that are slow in every way; see also tests/data/test_downloads.py."""

from __future__ import annotations

import hashlib
import resource
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dlkit import fetching
from dlkit.display import Display
from dlkit.errors import DlkitError
from dlkit.fetching import FetchError, fetch

CONTENT = bytes(range(250)) * 400
PIECE = len(CONTENT) // 10
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
Send = Callable[[bytes], object]


def drip(send: Send, what: bytes, pause: float = 0.02) -> None:
    for start in range(len(what)):
        send(what[start : start + 1])
        time.sleep(pause)


def whole(send: Send) -> None:
    send(HEAD + CONTENT)


def fair(send: Send) -> None:
    """Longer than a span, at 1 kB each 0.05 s or more."""
    send(HEAD)
    for start in range(0, len(CONTENT), PIECE):
        send(CONTENT[start : start + PIECE])
        time.sleep(0.1)


def in_chunks(send: Send) -> None:
    send(CHUNKED + b"%x\r\n" % len(CONTENT) + CONTENT + b"\r\n0\r\n\r\n")


def dripping_body(send: Send) -> None:
    send(HEAD)
    drip(send, CONTENT)


def dripping_end(send: Send) -> None:
    send(HEAD + CONTENT[:-1000])
    drip(send, CONTENT[-1000:])


def dripping_header(send: Send) -> None:
    send(b"HTTP/1.1 200 OK\r\nX-Long: ")
    drip(send, b"x" * 1000)


def dripping_sizes(send: Send) -> None:
    """A chunk's size, which is read in one go, with an extension that does not end."""
    send(CHUNKED + b"8;")
    drip(send, b"x" * 1000)


def standing_still(send: Send) -> None:
    send(HEAD + CONTENT[:1000])
    time.sleep(5)


def breaking_off(send: Send) -> None:
    send(HEAD + CONTENT[:1000])


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[Send], None]], str]]:
    """Gives the address at which a server behaves so."""
    monkeypatch.setattr(fetching, "ANSWER", 0.3)
    monkeypatch.setattr(fetching, "SPAN", 0.3)
    monkeypatch.setattr(fetching, "LEAST", 1000)
    servers = []

    def start(behave: Callable[[Send], None]) -> str:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.recv(10_000)
                try:
                    behave(self.request.sendall)
                except OSError:
                    gone.set()

        gone = threading.Event()
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}/file.bin"

    yield start
    for server in servers:
        server.shutdown()
        server.socket.close()


DIGEST = ("sha256", hashlib.sha256(CONTENT).hexdigest()[:8])


@pytest.mark.parametrize("behave", [whole, fair, in_chunks], ids=lambda each: each.__name__)
def test_what_comes_is_waited_for(behave: Callable[[Send], None], serve, tmp_path: Path) -> None:
    fetch(serve(behave), tmp_path / "file.bin", Display(quiet=True), DIGEST)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        (dripping_body, "too slow: [0-9,]+ bytes in 0 s"),
        (dripping_end, "too slow"),
        (dripping_sizes, "too slow: 0 bytes"),
        (dripping_header, "no answer within 0.3 s"),
        (standing_still, "too slow|not a byte"),
        (breaking_off, "cut off: 1,000 of 100,000 bytes came"),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_who_drips_or_stands_still_is_given_up(
    behave: Callable[[Send], None], reason: str, serve, tmp_path: Path
) -> None:
    started = time.monotonic()
    with pytest.raises(FetchError, match=reason):
        fetch(serve(behave), tmp_path / "file.bin", Display(quiet=True), DIGEST)
    assert time.monotonic() - started < 2
    assert not list(tmp_path.iterdir())


def test_another_file_is_not_kept(serve, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="another file: its SHA256 is not 00000000"):
        fetch(serve(whole), tmp_path / "file.bin", Display(quiet=True), ("sha256", "00000000"))
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_no_fault_of_the_server(serve, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # as full as a test can make it
    try:
        with pytest.raises(DlkitError, match=r"Cannot write .*file.bin'.*too large"):
            fetch(serve(whole), tmp_path / "file.bin", Display(quiet=True), DIGEST)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())
