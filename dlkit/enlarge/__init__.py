"""Enlarging a data set on disk: augmented copies of its training images, and images that a model generates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlkit.lazy import loader

if TYPE_CHECKING:
    from dlkit.enlarge.copying import Copying
    from dlkit.enlarge.enlarging import enlarge
    from dlkit.enlarge.generating import Wanted
    from dlkit.enlarge.material import Material

__all__ = ["Copying", "Material", "Wanted", "enlarge"]

__getattr__ = loader(
    __name__,
    {"Copying": "copying", "Material": "material", "Wanted": "generating", "enlarge": "enlarging"},
)
