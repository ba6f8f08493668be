"""Whether decoded images fit into memory, all of them or a batch."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Literal

from dlkit.data.spec import DataSpec
from dlkit.errors import DataError

_MOST = 4 << 30
_SMALL = 256 << 20
"""Bytes of a batch that is read without a look at the memory."""


def image_bytes(spec: DataSpec, count: int) -> int:
    """Bytes that the raw images take."""
    return count * spec.channels * spec.height * spec.width * (1 if spec.pixel_type == "uint8" else 4)


def fits_in_memory(spec: DataSpec, count: int, choice: Literal["auto", "yes", "no"]) -> bool:
    """``yes``, ``no``, or by size: at most a quarter of the memory that is free, and 4 GiB.

    Raises:
        DataError: ``yes``, where all memory that is free is too little.
    """
    if choice == "no":
        return False
    size, free = image_bytes(spec, count), available_memory()
    if choice == "yes" and size > free:
        raise DataError(f"--in-memory yes: {_take(spec, count, size, free)}", "--in-memory auto reads them in batches.")
    return choice == "yes" or size <= min(_MOST, free // 4)


def check_batch(spec: DataSpec, count: int) -> None:
    """Refuse a batch of images that does not fit into memory as the numbers that a network takes.

    Raises:
        DataError: with its size.
    """
    size = 4 * count * math.prod(spec.shape)
    if size > _SMALL and size > (free := available_memory()):
        raise DataError(
            _take(spec, count, size, free), "Use a smaller --batch-size, or train at a smaller --image-size."
        )


def _take(spec: DataSpec, count: int, size: int, free: int) -> str:
    what = (
        f"{count:,} images of {spec.height} × {spec.width}"
        if count > 1
        else f"An image of {spec.height} × {spec.width}"
    )
    return f"{what} take{'' if count > 1 else 's'} {size / 2**30:,.1f} GiB of memory; {free / 2**30:,.1f} GiB are free."


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
