from __future__ import annotations

import pytest
import torch
from dlkit_banding.augmenter import banding

import dlkit
from dlkit.augment import Draws, Scenes, sample_keys
from dlkit.testing import parametrize_with_checks


@parametrize_with_checks("dlkit-banding")
def test_the_contract(check) -> None:
    check()


def lit(count: int, amount: float, bands: float) -> torch.Tensor:
    """White images under the lamp, ``(count, 1, 20, 20)``."""
    white = Scenes(torch.ones(count, 1, 20, 20))
    draws = Draws(sample_keys(0, torch.arange(count)))
    return banding(white, draws, amount=torch.full((count,), amount), bands=torch.full((count,), bands)).images


def test_light_is_between_one_and_what_the_amount_leaves() -> None:
    images = lit(50, 0.4, 3.0)
    assert images.max() <= 1
    assert images.min() >= 0.6 - 1e-6
    assert images.amin((1, 2, 3)).max() < 0.63  # each image has its dark bands


@pytest.mark.parametrize("bands", [1, 2, 5])
def test_there_are_as_many_bands_as_said(bands: int) -> None:
    for image in lit(20, 0.5, bands):
        rows, columns = image[0].mean(1), image[0].mean(0)
        profile = rows if rows.std() > columns.std() else columns
        spectrum = torch.fft.rfft(profile - profile.mean()).abs()
        assert int(spectrum.argmax()) == bands


def test_bands_go_both_ways() -> None:
    sideways = [bool(image[0].mean(0).std() > image[0].mean(1).std()) for image in lit(200, 0.5, 3.0)]
    assert 60 < sum(sideways) < 140


@pytest.mark.slow
def test_a_training_takes_it(tmp_path) -> None:
    words = {"layers": "16", "code": 4, "epochs": 1, "runs": tmp_path, "threads": 1}
    model = dlkit.train("autoencoder", data="digits", augment="banding:0.5@0.5", **words)
    assert model.run.settings.to_plain()["augment"] == "banding:0.5@0.5"
