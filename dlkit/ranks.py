"""Which of the processes that train together this one is, as launchers say it in the environment; light."""

from __future__ import annotations

import os

UNNAMED = "none"
"""What torchrun calls a launch by default; its process is its name, then."""


def count() -> int:
    """How many processes train together, on all machines."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def rank() -> int:
    """This one's number among them, from 0."""
    return int(os.environ["RANK"]) if count() > 1 else 0


def local_rank() -> int:
    """Its number on this machine."""
    return int(os.environ.get("LOCAL_RANK", "0")) if count() > 1 else 0


def local_count() -> int:
    """How many there are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if count() > 1 else 1


def launch() -> str | None:
    """The elastic launcher's name for this launch, the same after a restart; None where there is none."""
    name = os.environ.get("TORCHELASTIC_RUN_ID")
    return f"{os.uname().nodename}-{os.getppid()}" if name == UNNAMED else name


def restarts() -> int:
    """How often the launcher has started all of them again."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
