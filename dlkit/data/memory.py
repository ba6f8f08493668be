"""Whether decoded images are kept in memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from dlkit.data.spec import DataSpec

_MOST = 4 << 30


def image_bytes(spec: DataSpec, count: int) -> int:
    """Bytes that the raw images take."""
    return count * spec.channels * spec.height * spec.width * (1 if spec.pixel_type == "uint8" else 4)


def fits_in_memory(spec: DataSpec, count: int, choice: Literal["auto", "yes", "no"]) -> bool:
    """``yes``, ``no``, or by size: at most a quarter of the memory that is free, and 4 GiB."""
    if choice != "auto":
        return choice == "yes"
    return image_bytes(spec, count) <= min(_MOST, available_memory() // 4)


def available_memory() -> int:
    """Bytes that can be allocated without swapping, within the container's limit where there is one (Linux)."""
    free = _meminfo()
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
    except (OSError, ValueError):  # no cgroup v2, or "max"
        return free
    return min(free, max(0, limit - used))


def _meminfo() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
