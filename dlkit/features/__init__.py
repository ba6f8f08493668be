"""Features of images: computed once per image and network, fast, and kept.

Names are loaded on first use, so that options need no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlkit.features.options import FeatureOptions
from dlkit.lazy import loader

if TYPE_CHECKING:
    from dlkit.features.extraction import Features, extract, side_by_side

__all__ = ["FeatureOptions", "Features", "extract", "side_by_side"]

__getattr__ = loader(__name__, {"Features": "extraction", "extract": "extraction", "side_by_side": "extraction"})
