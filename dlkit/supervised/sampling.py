"""How often each image is drawn in an epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dlkit.supervised.options import SupervisedOptions

if TYPE_CHECKING:
    from dlkit.data import Split


def sample_weights(options: SupervisedOptions, split: Split) -> Tensor | None:
    """For ``runtime.fit(weights=…)``: None where each image comes once per epoch; else float64 ``(N,)``, one over the
    size of the image's class, so that each class is drawn equally often in expectation; 0 for unlabelled images.
    """
    if options.sampling == "shuffled" or split.labels is None:
        return None
    known = split.labels >= 0
    counts = torch.bincount(split.labels[known])
    return torch.where(known, 1.0 / counts[split.labels.clamp(min=0)].double(), 0.0)
