"""One place for device, precision, seeds, batches, updates, checkpoints and resume.

Names are loaded on first use, so that the light submodules (``schedule``, ``signals``) need no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlkit.lazy import loader

if TYPE_CHECKING:
    from dlkit.runtime.batches import Batch
    from dlkit.runtime.memory import MemoryEstimate, count_parameters, estimate_memory
    from dlkit.runtime.normalize import Normalize
    from dlkit.runtime.phase import FitResult
    from dlkit.runtime.runtime import Runtime

__all__ = ["Batch", "FitResult", "MemoryEstimate", "Normalize", "Runtime", "count_parameters", "estimate_memory"]

__getattr__ = loader(
    __name__,
    {
        "Batch": "batches",
        "FitResult": "phase",
        "MemoryEstimate": "memory",
        "Normalize": "normalize",
        "Runtime": "runtime",
        "count_parameters": "memory",
        "estimate_memory": "memory",
    },
)
