"""Generators of which it is known how many images they copy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from dlkit.data import ImageData, load_data
from dlkit.judging import JudgeOptions, judge
from dlkit.options import DataOptions, RuntimeOptions
from dlkit.runtime import Runtime


def noise(path: Path, held_out: int) -> ImageData:
    images = np.random.default_rng(0).integers(0, 256, (80, 8, 8), dtype=np.uint8)
    np.savez(path / "data.npz", images=images, split=np.repeat(["train", "test"], [80 - held_out, held_out]))
    return load_data(DataOptions(data=str(path / "data.npz")))


@pytest.mark.parametrize("held_out", [20, 9])
def test_copies_are_counted_where_there_are_few_images_too(tmp_path: Path, held_out: int) -> None:
    data = noise(tmp_path, held_out)

    def half_copies(count: int, generator: Generator) -> Tensor:
        new = torch.rand(count, 1, 8, 8, generator=generator) + 1  # brighter than any
        return torch.where((torch.arange(count) % 2 == 0)[:, None, None, None], data.train.pixels()[:count], new)

    figures = judge(half_copies, data, Runtime(RuntimeOptions(threads=1)), JudgeOptions(features="pixels"))
    found = [row for row in figures if row.name == "copies"]
    if held_out < 10:
        assert found == []
    else:
        assert found[0].value == pytest.approx(0.5, abs=0.02)
        assert found[0].baselines == {"held-out images": 1 / held_out}
        assert "5% of held-out" in found[0].note


@pytest.mark.parametrize(("train", "said"), [(21, "19 images in train are too few"), (60, "of 27 images of each")])
def test_of_few_images_it_is_said_that_figures_say_little(tmp_path: Path, train: int, said: str) -> None:
    def anything(count: int, generator: Generator) -> Tensor:
        return torch.rand(count, 1, 8, 8, generator=generator)

    data = noise(tmp_path, 80 - train)
    figures = judge(anything, data, Runtime(RuntimeOptions(threads=1)), JudgeOptions(features="pixels"))
    (notice,) = figures.notices
    assert said in notice
    assert (len(figures) == 0) == (train == 21)
