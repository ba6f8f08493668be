"""Pictures, plots, tables and the report of a run.

Names are looked up when they are used: ``dlkit.report.figures`` stays importable without matplotlib.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlkit.lazy import loader

if TYPE_CHECKING:
    from dlkit.report.picture import Picture as Picture
    from dlkit.report.picture import save_pictures as save_pictures
    from dlkit.report.report import write_report as write_report

__getattr__ = loader(__name__, {"Picture": "picture", "save_pictures": "picture", "write_report": "report"})
__all__ = ["Picture", "save_pictures", "write_report"]
