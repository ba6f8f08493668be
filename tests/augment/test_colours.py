"""Colour, noise and blur: torchvision's and SciPy's answers, and moments."""

from __future__ import annotations

import math

import pytest
import torch
from dlkit_builtin.augmenters.blur import convolved, line
from dlkit_builtin.augmenters.fields import smooth
from scipy import ndimage
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from dlkit.augment import Draws, Scenes, operate, sample_keys

GREY = 0.5


def pictures(count: int = 6, height: int = 14, width: int = 11) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def changed(name: str, images: Tensor, **values: Tensor | str) -> Tensor:
    return operate(name, Scenes(images), Draws(sample_keys(0, torch.arange(len(images)))), values).images


def test_hue_gamma_and_grey_are_torchvisions() -> None:
    images, turns = pictures(), torch.tensor([-180.0, -50, 20, 60, 119, 180])
    images[0] = images[0, :1]  # grey has no hue
    expected = torch.stack([F.adjust_hue(i, t / 360) for i, t in zip(images, turns.tolist(), strict=True)])
    torch.testing.assert_close(changed("hue", images, turn=turns), expected, rtol=0, atol=2e-5)
    changes = torch.tensor([-3.0, -0.5, 0.1, 0.5, 1, 2])
    powers = [1 + c if c >= 0 else 1 / (1 - c) for c in changes.tolist()]
    expected = torch.stack([F.adjust_gamma(i, p) for i, p in zip(images, powers, strict=True)])
    torch.testing.assert_close(changed("gamma", images, change=changes), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(changed("grey", images), F.rgb_to_grayscale(images, 3), rtol=0, atol=2e-4)


def test_tints_keep_the_luma_of_grey() -> None:
    images = torch.full((50, 3, 4, 4), 0.4)
    luma = torch.tensor([0.2989, 0.587, 0.114]).reshape(1, 3, 1, 1)
    for name, values in (("temperature", {"mired": torch.linspace(-100, 100, 50)}),
                         ("cast", {"amount": torch.full((50,), 0.4)})):  # fmt: skip
        tinted = changed(name, images, **values)
        torch.testing.assert_close((tinted * luma).sum(1), torch.full((50, 4, 4), 0.4 * 0.9999), rtol=1e-3, atol=0)
        assert tinted.std(1).max() > 0.05
    warm = changed("temperature", images, mired=torch.full((50,), 60.0))[0, :, 0, 0]
    assert warm[0] > warm[1] > warm[2]


def noise(name: str, level: float = GREY, **values: float) -> Tensor:
    images = torch.full((20, 3, 40, 40), level)
    return changed(f"noise:{name}", images, **{key: torch.full((20,), value) for key, value in values.items()})


def test_noise_has_its_moments() -> None:
    error = 5 / math.sqrt(20 * 3 * 40 * 40)
    found = noise("speckle", std=0.1)
    assert abs(float(found.mean()) - GREY) < GREY * 0.1 * error
    assert abs(float(found.std()) / (GREY * 0.1) - 1) < 0.02
    found = noise("poisson", noise=0.1)  # 100 photons are white, 50 ± √50 are grey
    assert abs(float(found.mean()) - GREY) < 0.071 * error
    assert abs(float(found.var()) / (GREY / 100) - 1) < 0.03
    torch.testing.assert_close(found * 100, (found * 100).round(), rtol=0, atol=1e-3)
    found = noise("salt-and-pepper", share=0.1)
    assert abs(float((found == 0).float().mean()) - 0.05) < 0.004
    assert abs(float((found == 1).float().mean()) - 0.05) < 0.004
    assert torch.equal(found[:, 0], found[:, 2])
    found = noise("sensor", share=0.1)
    stuck = found[found != GREY]
    assert abs(len(stuck) / found.numel() - 0.1) < 0.005
    assert abs(float(stuck.mean()) - 0.5) < 0.01
    assert abs(float(stuck.var()) - 1 / 12) < 0.003


def test_gaussian_blur_is_scipys() -> None:
    images, radius = pictures(4, 50, 40), torch.tensor([0.0126, 0.021, 0.049, 0.103])
    found = changed("blur:gaussian", images, radius=radius)
    for image, own, share in zip(images.numpy(), found.numpy(), radius.tolist(), strict=True):
        deviation = share * 40
        reach = math.ceil(3 * deviation)
        expected = [ndimage.gaussian_filter(c, deviation, mode="nearest", radius=reach) for c in image]
        assert abs(expected - own).max() < 1e-5


def test_convolution_is_scipys_whatever_the_size() -> None:
    images = pictures(3, 9, 12)
    kernels = torch.rand(3, 7, 7, generator=torch.Generator().manual_seed(2))
    found = convolved(images, kernels).numpy()
    for image, kernel, own in zip(images.numpy(), kernels.numpy(), found, strict=True):
        expected = [ndimage.convolve(channel, kernel, mode="nearest") for channel in image]
        assert abs(expected - own).max() < 1e-4


def test_defocus_spreads_points_into_discs_and_motion_into_lines() -> None:
    point = torch.zeros(1, 1, 101, 101)
    point[0, 0, 50, 50] = 1
    disc = changed("blur:defocus", point, radius=torch.tensor([0.1]))[0, 0]
    assert abs(float(disc.sum()) - 1) < 1e-4
    assert abs(float(1 / disc.max()) / (math.pi * 10.1**2) - 1) < 0.03
    streak = line(torch.tensor([20.0]), torch.tensor([30.0]))[0]
    across, along = (streak.nonzero() - streak.shape[0] // 2).float().unbind(1)
    weights = streak[streak > 0]
    assert abs(float(streak.sum()) - 1) < 1e-5
    variance = float((weights * (along**2 + across**2)).sum())
    assert abs(variance / (20**2 / 12) - 1) < 0.12  # that of an even line
    angle = math.degrees(0.5 * math.atan2(-2 * float((weights * along * across).sum()),
                                          float((weights * (along**2 - across**2)).sum())))  # fmt: skip
    assert abs(angle - 30) < 1  # y points down


@pytest.mark.parametrize("scale", [0.05, 0.2])
def test_fields_are_normal_and_smooth(scale: float) -> None:
    draws = Draws(sample_keys(1, torch.arange(400)))
    field = smooth(draws, "f", 1, (32, 48), torch.full((400,), scale))[:, 0]
    assert abs(float(field.var(0).mean()) - 1) < 0.05
    assert abs(float(field.mean())) < 0.05
    apart = 6
    pixels = max(scale * 32, 0.6 * (32 + 4 * scale * 32) / 24)
    found = float((field[:, 16, 10] * field[:, 16 + apart, 10]).mean())
    assert abs(found - math.exp(-(apart**2) / (4 * pixels**2))) < 0.2
