"""The grammar of --denoise, and the statistics of what it draws."""

from __future__ import annotations

import re

import pytest
import torch
from dlkit_builtin.autoencoder.corruption import corrupt
from dlkit_builtin.autoencoder.noise import AMOUNTS, Corruption, Noise
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor

WHOLE = ("bars", "block")


@st.composite
def noises(draw: st.DrawFn) -> Noise:
    parts = []
    for kind in draw(st.lists(st.sampled_from(sorted(AMOUNTS)), min_size=1, max_size=4)):
        _, low, high = AMOUNTS[kind]
        amounts = st.integers(int(low), int(high)).map(float) if kind in WHOLE else st.floats(low, high)
        parts.append(Corruption(kind, draw(amounts)))
    return Noise(tuple(parts))


@given(noises())
def test_text_and_back(noise: Noise) -> None:
    assert Noise.parse(str(noise)) == noise


def test_text_is_as_people_write_it() -> None:
    for text in ("gaussian:0.3", "mask:0.5+bars:2", "salt-pepper:0.2", "block:8", "gaussian:1", "speckle:0.1234567"):
        assert str(Noise.parse(text)) == text
    assert Noise.parse(" mask:0.5 + bars:2 ") == Noise((Corruption("mask", 0.5), Corruption("bars", 2.0)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "one of gaussian, "),
        ("fog:1", "got 'fog:1'"),
        ("mask:0.5+", "got ''"),
        ("gaussian", "gaussian takes the standard deviation"),
        ("gaussian:", "got 'gaussian:'"),
        ("gaussian:much", "got 'gaussian:much'"),
        ("gaussian:nan", "from 0 to 10"),
        ("gaussian:inf", "from 0 to 10"),
        ("mask:1.01", "from 0 to 1 "),
        ("mask:-0.1", "from 0 to 1 "),
        ("bars:0", "from 1 to 4096"),
        ("bars:2.5", "whole"),
        ("block:inf", "whole"),
        ("gaussian:0.1:2", "got 'gaussian:0.1:2'"),
    ],
)
def test_errors_say_what_was_expected(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Noise.parse(text)


def corrupted(text: str, images: Tensor, seed: int = 0) -> Tensor:
    return corrupt(images, Noise.parse(text), Generator().manual_seed(seed))


def grey(count: int = 400, channels: int = 3, side: int = 16) -> Tensor:
    return torch.rand(count, channels, side, side, generator=Generator().manual_seed(9)) * 0.8 + 0.1


@pytest.mark.parametrize(
    "text", ["gaussian:0.3", "speckle:0.4", "mask:0.5", "salt-pepper:0.2", "bars:3", "block:5", "mask:0.2+gaussian:0.1"]
)
def test_every_image_has_draws_of_its_own_that_repeat(text: str) -> None:
    same = torch.full((6, 3, 16, 16), 0.5)
    before = same.clone()
    first = corrupted(text, same)
    assert torch.equal(same, before)
    assert torch.equal(corrupted(text, same), first)
    assert not torch.equal(corrupted(text, same, seed=1), first)
    assert not all(torch.equal(first[0], image) for image in first)
    generator = Generator().manual_seed(0)
    noise = Noise.parse(text)
    assert not torch.equal(corrupt(same, noise, generator), corrupt(same, noise, generator))
    assert first.dtype == torch.float32


def test_gaussian_is_additive_and_not_clipped() -> None:
    images = grey()
    noise = corrupted("gaussian:0.3", images) - images
    assert noise.mean().abs() < 4 * 0.3 / noise.numel() ** 0.5
    assert abs(noise.std().item() - 0.3) < 4 * 0.3 / (2 * noise.numel()) ** 0.5
    kurtosis = (noise / 0.3).pow(4).mean()
    assert abs(kurtosis.item() - 3) < 0.05  # 3 for a normal distribution; clipping would lower it
    assert (images + noise).min() < -0.3
    assert (images + noise).max() > 1.3


def test_speckle_is_multiplicative() -> None:
    images = grey()
    factor = corrupted("speckle:0.4", images) / images
    assert abs(factor.mean().item() - 1) < 0.005
    assert abs(factor.std().item() - 0.4) < 0.005
    assert (corrupted("speckle:1", torch.zeros(2, 1, 4, 4)) == 0).all()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_mask_zeroes_its_share_of_pixels_in_all_channels(share: float) -> None:
    images = grey()
    gone = corrupted(f"mask:{share}", images) == 0
    assert torch.equal(gone.any(1), gone.all(1))
    pixels = gone[:, 0].float()
    assert abs(pixels.mean().item() - share) <= 4 * (share * (1 - share) / pixels.numel()) ** 0.5
    assert torch.equal(corrupted(f"mask:{share}", images)[~gone], images[~gone])


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_salt_and_pepper_are_half_each(share: float) -> None:
    images = grey()
    result = corrupted(f"salt-pepper:{share}", images)
    changed = result != images
    assert torch.equal(changed.any(1), changed.all(1))
    spread = 4 * (share / 2 * (1 - share / 2) / (400 * 256)) ** 0.5
    for value in (0.0, 1.0):
        found = result == value
        assert torch.equal(found.any(1), found.all(1))
        assert abs(found[:, 0].float().mean().item() - share / 2) <= spread
    assert set(result[changed].unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("width", [1, 3, 7])
def test_bars_cover_whole_rows_or_columns(width: int) -> None:
    images = grey(count=300, side=12)[:, :, :, :9]  # 12 × 9
    result = corrupted(f"bars:{width}", images)
    upright, starts = 0, {False: set(), True: set()}  # type: ignore[var-annotated]
    for image, original in zip(result, images, strict=True):
        gone = (image == 0).all(0)
        rows, columns = gone.all(1), gone.all(0)
        standing = bool(columns.any())
        upright += standing
        line = columns if standing else rows
        assert gone.sum() == width * (12 if standing else 9)
        assert line.sum() == width
        first = int(line.nonzero()[0])
        assert line[first : first + width].all()
        starts[standing].add(first)
        assert torch.equal(image[:, ~gone], original[:, ~gone])
    assert abs(upright - 150) < 4 * (300 / 4) ** 0.5
    assert starts[True] == set(range(9 - width + 1))
    assert starts[False] == set(range(12 - width + 1))


def test_block_covers_one_square() -> None:
    images = grey(count=300, side=10)
    for image, original in zip(corrupted("block:4", images), images, strict=True):
        gone = (image == 0).all(0)
        rows, columns = gone.any(1).nonzero().flatten(), gone.any(0).nonzero().flatten()
        assert gone.sum() == 16
        assert len(rows) == len(columns) == 4
        assert gone[rows[0] : rows[0] + 4, columns[0] : columns[0] + 4].all()
        assert torch.equal(image[:, ~gone], original[:, ~gone])


@pytest.mark.parametrize("text", ["bars:9", "block:100"])
def test_what_is_larger_than_the_image_covers_it(text: str) -> None:
    assert (corrupted(text, grey(side=8)) == 0).all()


def test_parts_act_one_after_another() -> None:
    images, generator = grey(count=5), Generator().manual_seed(4)
    expected = corrupt(images, Noise.parse("mask:0.5"), generator)
    expected = corrupt(expected, Noise.parse("gaussian:0.2"), generator)
    assert torch.equal(corrupted("mask:0.5+gaussian:0.2", images, seed=4), expected)
