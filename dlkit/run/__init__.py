"""The run directory: all that is needed to repeat, resume, evaluate, use or export a training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlkit.lazy import loader

if TYPE_CHECKING:
    from dlkit.run.run import Run, open_run

__all__ = ["Run", "open_run"]

__getattr__ = loader(__name__, {"Run": "run", "open_run": "run"})
