"""How each named data set is read from its published files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dlkit.data.arrays import image_array
from dlkit.data.listing import Listing, unassigned
from dlkit.data.names import DatasetCard


def digits(card: DatasetCard, folder: Path) -> Listing:  # noqa: ARG001
    """scikit-learn's digits: 16 grey levels above black, so white is 16."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = image_array((bunch.images / 16).astype(np.float32), card.name)
    return Listing(
        name=card.name,
        images=images,
        labels=bunch.target.astype(np.int64),
        classes=tuple(str(digit) for digit in range(10)),
        splits=unassigned(len(images)),
    )
