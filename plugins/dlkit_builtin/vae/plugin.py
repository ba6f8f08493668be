"""Registers the variational autoencoder."""

from __future__ import annotations

DLKIT_API = 1
