from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def _denormals() -> Iterator[None]:
    """A runtime flushes denormals in the whole process; hypothesis refuses to draw floats then."""
    torch.set_flush_denormal(False)
    yield
    torch.set_flush_denormal(False)
