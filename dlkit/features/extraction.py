"""Features of a split's images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from dlkit.backbones import Backbone, Tap
from dlkit.features.options import FeatureOptions

if TYPE_CHECKING:
    from dlkit.data import Split
    from dlkit.runtime import Runtime

Features = dict[Tap, NDArray[np.float32]]
"""Tap → ``(N, D)``, in the split's order."""

_BATCH = 8


def extract(
    backbone: Backbone,
    split: Split,
    taps: Sequence[Tap],
    runtime: Runtime,
    options: FeatureOptions | None = None,  # noqa: ARG001
) -> Features:
    """The features of all images of a split, in one pass for all taps.

    Args:
        backbone: on the runtime's device, in eval mode; it is not changed.
        split: the images.
        taps: which features.
        runtime: where to compute.
        options: precision and cache; the defaults if None.

    Raises:
        DataError: an image cannot be read any more.
    """
    found: dict[Tap, list[NDArray[np.float32]]] = {tap: [] for tap in taps}
    with torch.inference_mode():
        for batch in runtime.batches(split, _BATCH):
            for tap, values in zip(taps, backbone.features(batch.images, taps), strict=True):
                found[tap].append(values.float().cpu().numpy())
    return {
        tap: np.concatenate(parts) if parts else np.zeros((0, backbone.stage(tap.stage).channels), np.float32)
        for tap, parts in found.items()
    }
