"""Pictures for the report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.report import Picture
    from dlkit.runtime import Runtime
    from dlkit_builtin.transfer.technique import Transfer


def pictures(technique: Transfer, data: ImageData, runtime: Runtime) -> Iterator[Picture]:  # noqa: ARG001
    """What a person would want to look at."""
    yield from ()
