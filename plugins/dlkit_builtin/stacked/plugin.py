"""Registers greedy layer-wise training."""

from __future__ import annotations

DLKIT_API = 1
