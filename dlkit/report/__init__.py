"""Pictures, plots, tables and the report of a run.

Names are looked up when they are used: ``dlkit.report.figures`` stays importable without matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlkit.report.picture import Picture as Picture
    from dlkit.report.picture import save_pictures as save_pictures
    from dlkit.report.report import write_report as write_report

_HOMES = {"Picture": "picture", "save_pictures": "picture", "write_report": "report"}
__all__ = ["Picture", "save_pictures", "write_report"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
