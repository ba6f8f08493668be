"""dlkit: learning from images, one technique a plugin, one interface for all.

``dlkit.train`` and ``dlkit.load`` are the Python API (see :mod:`dlkit.api`); importing this package imports
nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlkit.lazy import loader

if TYPE_CHECKING:
    from dlkit.api import Model, load, train

__version__ = "0.1.0"
__all__ = ["Model", "__version__", "load", "train"]
__getattr__ = loader(__name__, {"Model": "api", "load": "api", "train": "api"})
