"""Exports: a trained model as one file that others can run, proved equal to the model on real images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlkit.lazy import loader

if TYPE_CHECKING:
    from dlkit.export.exporting import ExportReport, RawInput, export
    from dlkit.export.run_export import export_run

__all__ = ["ExportReport", "RawInput", "export", "export_run"]

__getattr__ = loader(
    __name__, {"ExportReport": "exporting", "RawInput": "exporting", "export": "exporting", "export_run": "run_export"}
)
