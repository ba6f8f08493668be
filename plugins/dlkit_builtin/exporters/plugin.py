"""Registers the formats that ``dlkit export`` knows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dlkit.hookspecs import hookimpl

if TYPE_CHECKING:
    from dlkit.export.formats import ExportFormat

DLKIT_API = 1


@hookimpl
def dlkit_exporters() -> Iterable[ExportFormat]:
    """The cards of :mod:`dlkit.export.formats`."""
    from dlkit.export.formats import BUILTIN_FORMATS

    return BUILTIN_FORMATS
