"""What gives predictions: a trained technique, or an exported model, behind one interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dlkit.data.spec import DataSpec
from dlkit.export.exporting import raw_module
from dlkit.technique import OutputKind, Technique

Arrays = dict[str, npt.NDArray[np.floating[Any]]]
"""Output name → ``(B, …)``, as its kind says (see :data:`dlkit.technique.OutputKind`)."""


class Predictor(Protocol):
    """A model that takes raw images."""

    @property
    def spec(self) -> DataSpec:
        """How images must be read for it, and its class names."""
        ...

    @property
    def outputs(self) -> Mapping[str, OutputKind]:
        """What it yields: name → kind, in order."""
        ...

    def predict(self, images: Tensor) -> Arrays:
        """Raw images ``(B, C, H, W)``, uint8 or float32 as the spec says, on the CPU → the outputs."""
        ...


class TechniquePredictor:
    """A trained technique as a predictor.

    Args:
        technique: trained.
        spec: of its data.
        device: where to compute.
    """

    def __init__(self, technique: Technique[Any], spec: DataSpec, device: torch.device | str = "cpu") -> None:
        self.spec = spec
        self.outputs = technique.outputs()
        self._device = torch.device(device)
        self._module = raw_module(technique, self._device)

    def predict(self, images: Tensor) -> Arrays:
        """See :class:`Predictor`."""
        with torch.inference_mode():
            outputs = self._module(images.to(self._device))
            return {name: one.float().cpu().numpy() for name, one in zip(self.outputs, outputs, strict=True)}
