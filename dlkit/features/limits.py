"""How much the kept features may take. Light."""

from __future__ import annotations

import os
import re

from dlkit.errors import UsageError

VARIABLE = "DLKIT_CACHE_SIZE"
DEFAULT = "5 GB"
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def size_limit() -> int:
    """Bytes: ``$DLKIT_CACHE_SIZE`` (``500 MB``, ``20GB``), or 5 GB.

    Raises:
        UsageError: it is no size.
    """
    text = os.environ.get(VARIABLE) or DEFAULT
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", text.strip().lower(), re.ASCII)
    if match is None:
        raise UsageError(f"{VARIABLE}={text!r}: expected a size like 500MB or 20GB.", f"Unset it for {DEFAULT}.")
    return int(float(match[1]) * _UNITS[match[2]])
