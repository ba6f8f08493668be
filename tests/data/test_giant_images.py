"""Images that a config or a spec makes larger than memory are refused before memory is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dlkit.data import DataSpec, memory
from dlkit.data.data import Streamed
from dlkit.data.files import FileImages
from dlkit.data.load import load_data
from dlkit.errors import DataError, UsageError
from dlkit.options import DataOptions
from dlkit.options.values import MOST_SIDE, Size
from dlkit.predict.decoding import decode_batches

MIB = 1 << 20
SPEC = DataSpec(source="", name="", channels=3, height=10_000, width=10_000)


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.png" for number in range(40)]
    for number, path in enumerate(paths):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(path)
    return paths


def predicted(photos: list[Path]) -> None:
    next(decode_batches(photos, SPEC, batch_size=32))


def streamed(photos: list[Path]) -> None:
    Streamed(FileImages(photos), np.arange(40), SPEC).raw(torch.arange(32))


@pytest.mark.parametrize("read", [predicted, streamed])
def test_a_batch_of_giants(
    photos: list[Path], read: Callable[[list[Path]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A spec in a run of a stranger, or the option of a user: 32 such images are 36 GiB of numbers."""
    monkeypatch.setattr(memory, "available_memory", lambda: 30_000 * MIB)
    with pytest.raises(DataError, match=r"32 images of 10000 × 10000 take 35\.8 GiB .* 29\.3 GiB") as refused:
        read(photos)
    assert "--batch-size" in refused.value.hint


def test_to_keep_them_all_where_they_do_not_fit(photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    options = DataOptions(data=str(photos[0].parent), in_memory="yes", image_size=Size(500, 500))
    monkeypatch.setattr(memory, "available_memory", lambda: 20 * MIB)
    with pytest.raises(DataError, match=r"--in-memory yes: 40 images .* 0\.0 GiB"):
        load_data(options)
    assert not load_data(replace(options, in_memory="auto")).train.in_memory


def test_no_side_is_longer_than_a_run_can_tell(photos: list[Path]) -> None:
    """A run of larger images was trained, and could not be read afterwards."""
    with pytest.raises(ValueError, match=str(MOST_SIDE)):
        Size.parse(str(MOST_SIDE + 1))
    assert Size.parse(f"3x{MOST_SIDE}").width == MOST_SIDE
    Image.new("L", (MOST_SIDE + 1, 2)).save(photos[0])
    for path in photos[1:]:
        path.unlink()
    with pytest.raises(DataError, match="--image-size"):
        load_data(DataOptions(data=str(photos[0].parent)))


def test_the_flag_says_so() -> None:
    from dlkit.discovery import registry
    from dlkit.settings import resolve

    with pytest.raises(UsageError, match=str(MOST_SIDE)):
        resolve(registry().technique("autoencoder"), flags={"image_size": "1000000"})
