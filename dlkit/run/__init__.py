"""The run directory: all that is needed to repeat, resume, evaluate, use or export a training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlkit.run.run import Run, open_run

__all__ = ["Run", "open_run"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from dlkit.run import run

        return getattr(run, name)
    raise AttributeError(name)
