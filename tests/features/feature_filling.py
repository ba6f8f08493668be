"""What processes do that fill the cache at once; imports no torch, so that they start fast."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from dlkit.features import store
from dlkit.features.store import Entry


def rows(start: int, count: int) -> tuple[store.Digests, store.Values]:
    """Made-up images, each with features that follow from its digest."""
    digests = np.zeros((count, 32), np.uint8)
    digests[:, :8] = np.arange(start, start + count, dtype=np.uint64)[:, None].view(np.uint8)
    return digests, np.arange(start, start + count, dtype=np.float32)[:, None] * np.ones((1, 4), np.float32)


def fill(home: str, number: int, barrier: Any) -> None:
    os.environ["DLKIT_HOME"] = home
    warned: list[str] = []
    entry = Entry("c" * 64, {"backbone": "shared"}, warned.append)
    barrier.wait()
    for step in range(6):
        digests, features = rows((number // 2 * 6 + step) * 10, 10)  # two processes each write the same
        entry.add(digests, features)
        known, values = entry.find(digests)
        # A merge by another process may hide a file while it is looked for, but never gives wrong features.
        assert values is not None
        assert np.array_equal(values[known], features[known])
    assert not warned, warned
