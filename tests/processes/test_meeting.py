"""Machines that train together wait for the first of them, and say where it cannot be found."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from dlkit import meeting
from dlkit.errors import TrainingError, UsageError
from dlkit.meeting import Part


@pytest.fixture
def another(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A port of ``first``, another machine, that is not listened at yet."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 29500))]

        def connect(*_: object, **__: object) -> socket.socket:
            client = socket.socket()
            client.connect(server.getsockname())
            return client

        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        monkeypatch.setattr(socket, "create_connection", connect)
        monkeypatch.setattr(meeting, "_GLANCE", 0.02)
        yield server


def test_the_first_machine_does_not_wait_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    for host in ("127.0.0.1", "[::1]", "localhost"):
        assert meeting.come(f"{host}:29500").listens is None
    ours = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("0.0.0.0", 29500))  # any of this machine's
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [ours])
    assert meeting.come("first-node:29500") == Part("first-node", listens=True)


def test_others_wait_until_it_listens(another: socket.socket) -> None:
    begun = time.monotonic()
    later = threading.Timer(0.3, another.listen)
    later.start()
    assert meeting.come("first:29500") == Part("127.0.0.1", listens=False)
    later.join()
    assert 0.3 <= time.monotonic() - begun < 10


def test_they_do_not_wait_for_ever(another: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "PATIENCE", 0.1)
    with pytest.raises(TrainingError, match=r"at first, port 29500, for 0\.1 s: Connection refused"):
        meeting.come("first:29500")


def test_hosts_and_ports() -> None:
    assert meeting.host_and_port("first-node:29500") == ("first-node", 29500)
    assert meeting.host_and_port("[fe80::1]:1") == ("fe80::1", 1)
    for wrong in ("first-node", "first-node:", ":29500", "first-node:0", "first-node:65536", "a b:1", "fe80::1:x"):
        with pytest.raises(UsageError, match="expected HOST:PORT"):
            meeting.host_and_port(wrong)
