"""Images read batch by batch are the same as those in memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dlkit.data import ImageData, load_data, memory, read_images
from dlkit.data.spec import DataSpec
from dlkit.errors import DataError
from dlkit.options import DataOptions
from dlkit.options.values import Size


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("stream")
    random = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        (root / name).mkdir()
        for index in range(15):
            height, width = random.integers(20, 60, 2)
            pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{index}.{'jpg' if index % 2 else 'png'}")
    return root


def both(**options: object) -> tuple[ImageData, ImageData]:
    return tuple(load_data(DataOptions(in_memory=choice, **options)) for choice in ("yes", "no"))  # type: ignore


@pytest.mark.parametrize("resize", ["crop", "pad", "stretch"])
def test_same_pixels_statistics_and_fingerprint(folder: Path, resize: str) -> None:
    memory_data, streamed = both(data=str(folder), resize=resize, image_size=Size(16, 12), normalize="standardize")
    assert memory_data.spec == streamed.spec
    assert len(memory_data.spec.fingerprint) == 64
    for one, other in zip(memory_data.splits, streamed.splits, strict=True):
        assert one.in_memory
        assert not other.in_memory
        assert torch.equal(one.raw(), other.raw())
        assert torch.equal(one.labels, other.labels)  # type: ignore[arg-type]
        assert one.files == other.files
        order = torch.randperm(len(one), generator=torch.Generator().manual_seed(0))[:5]
        assert torch.equal(one.raw(order), other.raw(order))
        assert torch.equal(one.pixels(order), other.raw(order).float() / 255)
        for split in (one, other):
            part = split.subset(order).subset(torch.tensor([3, 1]))
            assert torch.equal(part.raw(), split.raw(order[[3, 1]]))
            assert part.files == [split.files[i] for i in order[[3, 1]].tolist()]  # type: ignore[index]
            assert torch.equal(part.labels, split.labels[order[[3, 1]]])  # type: ignore[index, arg-type]
    with pytest.raises(RuntimeError):
        _ = streamed.train.tensor


def test_predict_sees_the_same_pixels(folder: Path) -> None:
    data = load_data(DataOptions(data=str(folder), image_size=Size(16, 12)))
    paths = [folder / file for file in data.train.files or ()]
    assert torch.equal(read_images(paths, data.spec), data.train.raw())


def test_workers_and_threads_change_nothing(folder: Path) -> None:
    one, three = (load_data(DataOptions(data=str(folder), in_memory="no"), workers=n) for n in (1, 3))
    assert one.spec == three.spec
    assert torch.equal(one.train.raw(), three.train.raw())
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(three.train.raw, torch.arange(len(three.train)).split(3)))
    assert torch.equal(torch.cat(parts), one.train.raw())


def test_digits_stream_too() -> None:
    memory_data, streamed = both()
    assert memory_data.spec == streamed.spec
    assert torch.equal(memory_data.test.raw(), streamed.test.raw())


def test_a_file_that_vanishes_is_said(tmp_path: Path) -> None:
    for index in range(6):
        Image.new("L", (4, 4), index).save(tmp_path / f"{index}.png")
    data = load_data(DataOptions(data=str(tmp_path), in_memory="no"))
    assert data.train.files is not None
    (tmp_path / data.train.files[1]).unlink()
    with pytest.raises(DataError, match="cannot be read any more: no such file"):
        data.train.raw()


def test_fingerprint_changes_with_pixels_labels_and_splits(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 4, 4), dtype=np.uint8)
    labels = np.arange(40) % 2

    def fingerprint(images: np.ndarray, labels: np.ndarray, **options: int) -> str:
        np.savez(tmp_path / "a.npz", images=images, labels=labels)
        return load_data(DataOptions(data=str(tmp_path / "a.npz"), **options)).spec.fingerprint  # type: ignore[arg-type]

    first = fingerprint(images, labels)
    assert fingerprint(images, labels) == first
    other = images.copy()
    other[7, 2, 2] ^= 1
    swapped = labels.copy()
    swapped[[0, 1]] = swapped[[1, 0]]
    assert (
        len(
            {first, fingerprint(other, labels), fingerprint(images, swapped), fingerprint(images, labels, split_seed=1)}
        )
        == 4
    )


def test_auto_decides_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = DataSpec(source="x", name="x", channels=3, height=100, width=100)
    monkeypatch.setattr(memory, "available_memory", lambda: 1_200_000)
    assert memory.fits_in_memory(spec, 10, "auto")  # 300,000 bytes
    assert not memory.fits_in_memory(spec, 11, "auto")
    assert memory.fits_in_memory(spec, 11, "yes")
    assert not memory.fits_in_memory(spec, 1, "no")
    monkeypatch.setattr(memory, "available_memory", lambda: 1 << 50)
    assert memory.fits_in_memory(spec, (4 << 30) // 30_000, "auto")
    assert not memory.fits_in_memory(spec, (4 << 30) // 30_000 + 1, "auto")


def test_available_memory_is_plausible() -> None:
    assert 1 << 20 < memory.available_memory() < 1 << 45
