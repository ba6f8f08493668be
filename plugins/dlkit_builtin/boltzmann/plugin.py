"""Registers the Boltzmann machines."""

from __future__ import annotations

DLKIT_API = 1
