"""SIGINT and SIGTERM: save first, then stop; light."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from dlkit.errors import Interrupted


class _Stop:
    """What has arrived, whether it was raised, and whether someone is there to save before stopping."""

    def __init__(self) -> None:
        self.signum: int | None = None
        self.raised = False
        self.deferring = False


stop = _Stop()
"""``stop.signum`` is the signal that asked training to save and stop, or None."""


def _handle(signum: int, _frame: FrameType | None) -> None:
    again, stop.signum = stop.signum is not None, signum
    if again or not stop.deferring:
        stop.raised = True
        raise Interrupted(signum)


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn SIGINT and SIGTERM into :class:`dlkit.errors.Interrupted` while the block runs.

    Outside of training it is raised at once. ``runtime.fit`` saves after the step it is in, then raises it; a
    second signal is raised at once. Only the main thread can do this; in others nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stop.signum, stop.raised = None, False
    before = {number: signal.signal(number, _handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with unmasked():
            yield
    finally:
        stop.signum = None
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def unmasked() -> Iterator[None]:
    """An ``Interrupted`` that a library caught within the block, and passed on as an error of its own, is itself again.

    PyTorch does so where it calls Python from C++, in ``load_state_dict`` for one.
    """
    try:
        yield
    except Interrupted:
        raise
    except Exception as error:
        if stop.raised and stop.signum is not None:
            raise Interrupted(stop.signum) from error
        raise


@contextmanager
def deferring(yes: bool) -> Iterator[None]:
    """Within the block a first signal sets ``stop.signum`` only (``yes``), or is raised at once (not ``yes``)."""
    before, stop.deferring = stop.deferring, yes
    try:
        yield
    finally:
        stop.deferring = before
