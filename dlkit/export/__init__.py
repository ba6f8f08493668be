"""Exports: a trained model as one file that others can run, proved equal to the model on real images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlkit.export.exporting import ExportReport, RawInput, export

__all__ = ["ExportReport", "RawInput", "export"]


def __getattr__(name: str) -> Any:
    # Lazy, so that the light modules in here (formats, metadata) are importable without torch.
    if name in __all__:
        from dlkit.export import exporting

        return getattr(exporting, name)
    raise AttributeError(name)
