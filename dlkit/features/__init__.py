"""Features of images: computed once per image and network, fast, and kept.

Names are loaded on first use, so that options need no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlkit.features.options import FeatureOptions

if TYPE_CHECKING:
    from dlkit.features.extraction import Features, extract

__all__ = ["FeatureOptions", "Features", "extract"]

_HOMES = {"Features": "extraction", "extract": "extraction"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
