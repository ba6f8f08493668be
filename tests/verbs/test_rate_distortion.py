"""Rate and distortion: against closed forms, and PCA's choice against trying everything."""

from __future__ import annotations

import io
import json
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.decomposition import PCA

from dlkit.data import Split
from dlkit.data.data import Resident
from dlkit.metrics import Metrics
from dlkit.options import RuntimeOptions
from dlkit.rate_distortion import BITS, PCAByBits, data_bytes, jpeg_rows, rate_distortion, rate_distortion_picture
from dlkit.runtime import Runtime


class Identity:
    """The code is the pixels."""

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        return codes.view(-1, 1, 4, 4)


def split(name: str, count: int, seed: int) -> Split:
    images = torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(seed))
    return Split(name, Resident(images), None, None)


@pytest.fixture(scope="module")
def tables() -> Any:
    held_out = split("test", 500, 1)
    data: Any = SimpleNamespace(train=split("train", 5_000, 0), held_out=held_out)
    return rate_distortion(Identity(), data, Runtime(RuntimeOptions(threads=1)))


def test_uniform_pixels_lose_a_twelfth_of_the_squared_step(tables: Any) -> None:
    rows = tables[0].rows
    assert [row["bits"] for row in rows] == list(BITS)
    for row in rows:
        assert row["bytes per image"] == 16 * row["bits"] / 8
        assert row["MSE"] == pytest.approx(4.0 ** -row["bits"] / 12, rel=0.1, abs=1e-11)  # of pixels uniform on [0, 1]
        assert row["PSNR (dB)"] == pytest.approx(min(100, 10 * np.log10(12 * 4.0 ** row["bits"])), abs=0.7)
    assert "128 test images; ranges and PCA fitted on 5,000 training images" in tables[0].note


def test_pca_stands_beside_it_at_the_same_bytes(tables: Any) -> None:
    for row in tables[0].rows:
        components, bits = (int(part) for part in str(row["PCA"]).removesuffix(" bits").split(" × "))
        assert components * bits <= 16 * row["bits"]


def test_what_pca_chooses_is_the_best_of_all_on_the_training_images() -> None:
    random = np.random.default_rng(0)
    images = torch.from_numpy(random.normal(size=(60, 12)) @ random.normal(size=(12, 12)) * 0.05 + 0.5)
    images = images.float().view(60, 1, 3, 4)
    pca = PCAByBits(images, 3)  # twelve components
    theirs = PCA(12).fit(images.flatten(1).numpy())
    codes = theirs.transform(images.flatten(1).numpy())
    total = ((images.flatten(1).numpy() - theirs.mean_) ** 2).sum(1).mean()
    errors = {}
    for bits in BITS:
        low, step = codes.min(0), np.ptp(codes, axis=0) / 2**bits
        cells = np.clip(np.floor((codes - low) / step), 0, 2**bits - 1)
        quantised = low + (cells + 0.5) * step
        for count in range(1, 13):
            restored = quantised[:, :count] @ theirs.components_[:count] + theirs.mean_
            errors[count, bits] = ((restored - images.flatten(1).numpy()) ** 2).sum(1).mean()
            assert total + pca.loss[bits][count - 1] == pytest.approx(errors[count, bits], rel=1e-3, abs=1e-6)
    for budget in (1, 3, 8, 24, 36, 96):
        allowed = {pair: error for pair, error in errors.items() if pair[0] * pair[1] <= budget}
        count, bits = pca.choice(budget)
        assert errors[count, bits] == pytest.approx(min(allowed.values()), rel=1e-4)
        mine = (pca.restored(images, count, bits) - images).square().flatten(1).sum(1).mean()
        assert float(mine) == pytest.approx(errors[count, bits], rel=1e-3)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_the_data_of_a_jpeg_is_what_follows_its_scan_header(mode: str) -> None:
    stream = io.BytesIO()
    Image.effect_noise((24, 16), 60).convert(mode).save(stream, "JPEG", quality=60)
    file = stream.getvalue()
    start = file.index(b"\xff\xda")
    header = 2 + 2 + 1 + 2 * len(mode) + 3  # marker, length, components, tables of each, spectral selection
    assert file.count(b"\xff\xda") == 1
    assert data_bytes(file) == len(file) - start - header - len(b"\xff\xd9")


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_jpeg_gets_better_with_more_bytes(channels: int) -> None:
    smooth = torch.nn.functional.interpolate(torch.rand(5, channels, 3, 3), size=16, mode="bicubic").clamp(0, 1)
    rows = jpeg_rows(smooth)
    assert (rows == []) == (channels == 2)
    for fewer, more in pairwise(rows):
        assert fewer["bytes of data"] <= more["bytes of data"] < more["bytes of the file"]
        assert fewer["PSNR (dB)"] <= more["PSNR (dB)"] + 0.5


def test_runs_that_encode_and_decode_have_the_tables_and_the_curve(make: Any) -> None:
    run = make(can="encode,decode")
    kept = json.loads((run.path / "evaluation.json").read_text())
    assert [table["name"] for table in kept["tables"]] == ["rate_distortion", "jpeg"]
    assert (run.path / "plots" / "rate-distortion.png").is_file()
    assert "Rate and distortion" in (run.path / "report.html").read_text()
    assert make(can="encode").load_evaluation().tables == ()


def test_without_tables_there_is_no_curve() -> None:
    assert rate_distortion_picture(Metrics(())) is None
