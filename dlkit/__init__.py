"""dlkit: learning from images, one technique a plugin, one interface for all.

``dlkit.train`` and ``dlkit.load`` are the Python API (see :mod:`dlkit.api`); importing this package imports
nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlkit.api import Model, load, train

__version__ = "0.1.0"
__all__ = ["Model", "__version__", "load", "train"]


def __getattr__(name: str) -> Any:
    if name in ("Model", "load", "train"):
        from dlkit import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
