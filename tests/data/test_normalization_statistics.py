"""Statistics against NumPy on the whole array."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dlkit.data import DataSpec, load_data
from dlkit.data.statistics import Statistics
from dlkit.options import DataOptions


def kept(spec: DataSpec) -> tuple[np.ndarray, np.ndarray]:
    shape = spec.normalization.shape
    mean, std = (np.frombuffer(v, "<f4").reshape(shape) for v in (spec.normalization.mean, spec.normalization.std))
    return mean, std


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    images = np.random.default_rng(0).integers(0, 256, (300, 6, 5, 3), dtype=np.uint8)
    images[:, 2, 3] = 77  # constant pixels
    path = tmp_path_factory.mktemp("stats") / "a.npz"
    np.savez(path, images=images)
    return path


@pytest.mark.parametrize("in_memory", ["yes", "no"])
def test_modes_from_the_train_split(archive: Path, in_memory: str) -> None:
    for mode in ("none", "channel", "mean-image", "standardize"):
        data = load_data(DataOptions(data=str(archive), normalize=mode, in_memory=in_memory))  # type: ignore[arg-type]
        pixels = data.train.raw().numpy().astype(np.float64) / 255
        mean, std = kept(data.spec)
        assert data.spec.normalization.mode == mode
        if mode == "none":
            assert mean.tolist() == [[[0]]]
            assert std.tolist() == [[[1]]]
        elif mode == "channel":
            assert np.allclose(mean[:, 0, 0], pixels.mean((0, 2, 3)), atol=1e-7)
            assert np.allclose(std[:, 0, 0], pixels.std((0, 2, 3)), atol=1e-7)
        else:
            assert np.allclose(mean, pixels.mean(0), atol=1e-7)
            expected = pixels.std(0) if mode == "standardize" else np.ones_like(mean)
            expected[expected < 1e-12] = 1  # constant pixels
            assert np.allclose(std, expected, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_streaming_is_exact_for_constant_pixels(dtype: torch.dtype) -> None:
    images = torch.full((1000, 1, 2, 2), 201, dtype=torch.uint8)
    images = images if dtype == torch.uint8 else torch.full((1000, 1, 2, 2), 0.1)
    statistics = Statistics()
    for chunk in images.split(7):
        statistics.add(chunk)
    normalization = statistics.normalization("standardize")
    assert np.frombuffer(normalization.std, "<f4").tolist() == [1.0] * 4
    assert np.frombuffer(statistics.normalization("channel").std, "<f4").tolist() == [1.0]


def test_order_and_chunks_do_not_matter_for_bytes() -> None:
    images = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (500, 1, 3, 3), dtype=np.uint8))
    first, second = Statistics(), Statistics()
    first.add(images)
    for chunk in images.split(13):
        second.add(chunk)
    for mode in ("channel", "mean-image", "standardize"):
        assert first.normalization(mode) == second.normalization(mode)  # type: ignore[arg-type]
