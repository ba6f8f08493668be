"""Where the machines that train together meet: a port of the first of them."""

from __future__ import annotations

import ipaddress
import re
import socket
import time
from dataclasses import dataclass
from typing import Any

from dlkit.errors import TrainingError, UsageError

PATIENCE = 600
"""Seconds that machines wait for one another."""

_PLACE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:]+):(\d{1,5})")  # a host and a port; IPv6 in brackets
_PORTS = range(1, 1 << 16)
_GLANCE = 1.0  # seconds between attempts


def host_and_port(place: str) -> tuple[str, int]:
    """The two parts of what ``--rendezvous`` names.

    Raises:
        UsageError: it is something else.
    """
    match = _PLACE.fullmatch(place)
    if match is None or int(match[2]) not in _PORTS:
        raise UsageError(
            f"--rendezvous {place}: expected HOST:PORT.", "A port of the first node, 1 to 65535: first-node:29500."
        )
    return match[1].strip("[]"), int(match[2])


@dataclass(frozen=True)
class Part:
    """What this machine is at the meeting. By itself PyTorch asks for its full name, which others may not know.

    Attributes:
        address: where others find this machine.
        listens: whether it is the first; None where the fastest of several launchers on one machine is.
    """

    address: str
    listens: bool | None = None


def come(place: str) -> Part:
    """Wait until the first machine listens, where this is another one: PyTorch waits for a minute only, and complains.

    Raises:
        UsageError: this machine cannot find that one.
        TrainingError: it has not listened for :data:`PATIENCE`.
    """
    host, port = host_and_port(place)
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"--rendezvous {place}: there is no machine {host!r} here: {getattr(error, 'strerror', None) or error}.",
            "Name the first node as all of them know it, or give its address.",
        ) from error
    if any(ipaddress.ip_address(address[0]).is_loopback for *_, address in addresses):
        return Part(host)
    if any(_is_ours(family, address) for family, *_, address in addresses):
        return Part(host, listens=True)
    return Part(_wait(host, port), listens=False)


def _wait(host: str, port: int) -> str:
    """The address from which this machine reaches the first."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with socket.create_connection((host, port), timeout=_GLANCE) as reached:
                return str(reached.getsockname()[0])
        except OSError as error:
            if time.monotonic() > deadline:
                raise TrainingError(
                    f"No machine has listened at {host}, port {port}, for {PATIENCE} s: {error.strerror or error}",
                    "The same command must run on each, and all must reach that port of the first.",
                ) from error
            time.sleep(_GLANCE)


def _is_ours(family: int, address: tuple[Any, ...]) -> bool:
    """Whether an address is one of this machine's: no other can be bound to."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address[0], 0, *address[2:]))
        except OSError:
            return False
        return True
