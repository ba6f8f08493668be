"""The colour images that need no download."""

from __future__ import annotations

from sklearn.datasets import load_sample_image

from dlkit.data import load_data
from dlkit.options import DataOptions


def test_tiles_are_the_photographs() -> None:
    data = load_data(DataOptions(data="photo-tiles", test_fraction=0, val_fraction=0))
    assert (data.spec.shape, len(data.train)) == ((3, 32, 32), 520)
    tiles = data.train.tensor.numpy()
    for label, name in enumerate(("china.jpg", "flower.jpg")):
        photo = load_sample_image(name)
        own = {tile.transpose(1, 2, 0).tobytes() for tile in tiles[data.train.labels == label]}
        cut = [photo[row : row + 32, column : column + 32] for row in range(0, 416, 32) for column in range(0, 640, 32)]
        assert {tile.tobytes() for tile in cut} == own
        assert (data.train.labels == label).sum() == len(own) == 260
