"""dlkit: learning from images, one technique a plugin, one interface for all.

``dlkit.train`` and ``dlkit.load`` are the Python API (see :mod:`dlkit.api`); importing this package imports
nothing heavy.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dlkit.lazy import loader

if TYPE_CHECKING:
    from dlkit.api import Model, load, train

# No telemetry, of libraries either. From 1.29 on, ONNX Runtime's official builds number the machine and tell Microsoft
# which models they load, unless this is set before the first import; Hugging Face's library tells what is installed.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
__all__ = ["Model", "__version__", "load", "train"]
__getattr__ = loader(__name__, {"Model": "api", "load": "api", "train": "api"})
