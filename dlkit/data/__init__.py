"""What ``--data`` names, resolved: a spec and train / val / test splits.

Importing this package, ``dlkit.data.spec`` and ``dlkit.data.names`` is light; the rest imports torch on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlkit.lazy import loader

if TYPE_CHECKING:
    from dlkit.data.data import BadImage, Duplicate, ImageData, Split, to_pixels
    from dlkit.data.load import load_data
    from dlkit.data.read import read_images
    from dlkit.data.spec import DataSpec, Normalization

__all__ = [
    "BadImage",
    "DataSpec",
    "Duplicate",
    "ImageData",
    "Normalization",
    "Split",
    "load_data",
    "read_images",
    "to_pixels",
]

__getattr__ = loader(
    __name__,
    {
        "BadImage": "data",
        "DataSpec": "spec",
        "Duplicate": "data",
        "ImageData": "data",
        "Normalization": "spec",
        "Split": "data",
        "load_data": "load",
        "read_images": "read",
        "to_pixels": "data",
    },
)
