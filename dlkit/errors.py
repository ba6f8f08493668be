"""Every error that a user can cause, in one tree, with the exit code of each branch.

    DlkitError                 1   anything that went wrong and is not listed below
    ├── UsageError             2   a wrong option, value, name or combination
    │   └── UnknownBackbone    a name that is no backbone's
    ├── DataError              3   a file, folder, manifest or data set that cannot be used
    ├── ExportMismatchError    4   an exported model that does not equal the trained one
    ├── PluginError            5   a plugin that cannot be loaded or breaks its contract
    ├── TrainingError          1   training that cannot go on (not a number, out of memory)
    │   └── LostProcess        1   another of the processes that train together has ended
    └── Interrupted      130/143   SIGINT or SIGTERM, after everything was saved

A message says what was wrong (the file, the value) and what was expected; ``hint`` says what to do.
"""

from __future__ import annotations

import signal


class DlkitError(Exception):
    """Base of all errors that are the user's to solve: printed without a traceback.

    Args:
        message: what was wrong and what was expected, one or more lines.
        hint: what to do about it.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(DlkitError):
    """A wrong option, value, name or combination of options."""

    exit_code = 2


class UnknownBackbone(UsageError):  # noqa: N818 - it is one
    """A name that is no backbone's."""


class DataError(DlkitError):
    """Data that is missing, unreadable or does not fit."""

    exit_code = 3


class ExportMismatchError(DlkitError):
    """An export whose outputs differ from the model's by more than the tolerance."""

    exit_code = 4


class PluginError(DlkitError):
    """A plugin that cannot be loaded, or breaks its contract."""

    exit_code = 5


class TrainingError(DlkitError):
    """Training that cannot go on: a loss that is not finite, memory that does not suffice."""


class LostProcess(TrainingError):  # noqa: N818 - what has happened, not whose error it is
    """Another of the processes that train together has ended, or cannot be reached."""


class Interrupted(DlkitError):  # noqa: N818 - not an error of anybody's
    """SIGINT or SIGTERM arrived; what could be saved has been saved.

    Args:
        signum: the signal's number; the exit code is 128 + signum.
        hint: how to go on.
    """

    def __init__(self, signum: int, hint: str = "") -> None:
        super().__init__(f"Stopped by {signal.Signals(signum).name}.", hint)
        self.signum = signum
        self.exit_code = 128 + signum
