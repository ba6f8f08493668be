"""Registers the data sets that ``--data`` knows by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dlkit.hookspecs import hookimpl

if TYPE_CHECKING:
    from dlkit.data.names import DatasetCard

DLKIT_API = 1


@hookimpl
def dlkit_datasets() -> Iterable[DatasetCard]:
    """The cards of :mod:`dlkit.data.names`."""
    from dlkit.data.names import DATASETS

    return DATASETS.values()
