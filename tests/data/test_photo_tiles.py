"""The colour images that need no download."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_sample_image

from dlkit.data import load_data
from dlkit.options import DataOptions


def test_tiles_are_the_photographs() -> None:
    data = load_data(DataOptions(data="photo-tiles", test_fraction=0, val_fraction=0))
    assert (data.spec.shape, len(data.train)) == ((3, 32, 32), 520)
    tiles = data.train.tensor.numpy()
    for label, name in enumerate(("china.jpg", "flower.jpg")):
        photo = load_sample_image(name)
        mosaic = tiles[data.train.labels == label].reshape(13, 20, 3, 32, 32).transpose(0, 3, 1, 4, 2)
        np.testing.assert_array_equal(mosaic.reshape(416, 640, 3), photo[:416])
