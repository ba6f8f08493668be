"""Exports: a trained model as one file that others can run, proved equal to the model on real images."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlkit.export.exporting import ExportReport, RawInput, export
    from dlkit.export.run_export import export_run

__all__ = ["ExportReport", "RawInput", "export", "export_run"]

_HOMES = {"ExportReport": "exporting", "RawInput": "exporting", "export": "exporting", "export_run": "run_export"}


def __getattr__(name: str) -> Any:
    # Lazy, so that the light modules in here (formats, metadata) are importable without torch.
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(name)
