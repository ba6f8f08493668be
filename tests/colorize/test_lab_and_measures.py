"""Lab, colour differences and colourfulness, beside scikit-image and published values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dlkit_builtin.colorize.lab import lab_to_rgb, rgb_to_lab
from dlkit_builtin.colorize.measures import colourfulness, delta_e_2000, within
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import deltaE_ciede2000, rgb2lab

RANDOM = torch.Generator().manual_seed(0)


def colour(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1)


@pytest.mark.parametrize(
    ("rgb", "lab"),  # Lindbloom's calculator, http://www.brucelindbloom.com, sRGB and D65
    [
        ((1, 1, 1), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((1, 0, 0), (53.2408, 80.0925, 67.2032)),
        ((0, 1, 0), (87.7347, -86.1827, 83.1793)),
        ((0, 0, 1), (32.2970, 79.1875, -107.8602)),
    ],
)
def test_published_values(rgb: tuple[float, ...], lab: tuple[float, ...]) -> None:
    torch.testing.assert_close(rgb_to_lab(colour(*rgb)), colour(*lab), atol=0.02, rtol=0)


def test_lab_is_scikit_images() -> None:
    pixels = torch.rand(2, 3, 30, 31, generator=RANDOM)
    pixels[:, :, :4] *= 0.02  # where the curves are straight lines
    expected = rgb2lab(pixels.numpy(), channel_axis=1)
    # It has more digits of the matrix and a white point that is not quite the matrix's: greys are 0.02 off neutral.
    np.testing.assert_allclose(rgb_to_lab(pixels).numpy(), expected, atol=0.03)


def test_there_and_back() -> None:
    pixels = torch.rand(2, 3, 30, 31, generator=RANDOM)
    torch.testing.assert_close(lab_to_rgb(rgb_to_lab(pixels)), pixels, atol=2e-5, rtol=0)


def test_grey_is_neutral_and_its_lightness_that_of_the_pixel() -> None:
    grey = torch.linspace(0, 1, 256).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    lab = rgb_to_lab(grey)
    assert lab[:, 1:].abs().max() < 1e-3
    torch.testing.assert_close(lab_to_rgb(lab), grey, atol=1e-6, rtol=0)


@given(st.floats(0, 100), st.floats(-128, 128), st.floats(-128, 128))
def test_any_colour_keeps_its_lightness_and_leans_the_same_way(lightness: float, a: float, b: float) -> None:
    wanted = colour(lightness, a, b)
    pixels = lab_to_rgb(wanted)
    assert 0 <= float(pixels.min()) <= float(pixels.max()) <= 1
    found = rgb_to_lab(pixels)
    assert float(found[0, 0]) == pytest.approx(lightness, abs=1e-3)
    assert float((found * wanted)[:, 1:].sum()) >= -1e-2  # never the opposite colour


def test_gradients_are_finite_everywhere() -> None:
    pixels = torch.tensor([[0.0, 0.0, 0.0], [1, 1, 1], [1, 0, 0], [0.04045, 0.2, 0]]).view(4, 3, 1, 1).requires_grad_()
    rgb_to_lab(pixels).square().sum().backward()
    assert pixels.grad is not None
    assert pixels.grad.isfinite().all()
    lab = torch.tensor([[0.0, 0.0, 0.0], [100, 0, 0], [50, 100, 100], [0, 40, -30]]).view(4, 3, 1, 1).requires_grad_()
    lab_to_rgb(lab).square().sum().backward()
    assert lab.grad is not None
    assert lab.grad.isfinite().all()


@pytest.mark.parametrize(
    ("first", "second", "expected"),  # Sharma, Wu and Dalal 2005, table 1: pairs 1, 7, 9, 14, 16, 25, 28, 34
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
        ((50, -0.001, 2.49), (50, 0.0011, -2.49), 4.7461),
        ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((22.7233, 20.0904, -46.694), (23.0331, 14.973, -42.5619), 2.0373),
        ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_published_colour_differences(first: tuple[float, ...], second: tuple[float, ...], expected: float) -> None:
    one, other = (torch.tensor(lab, dtype=torch.float64).view(1, 3) for lab in (first, second))
    assert float(delta_e_2000(one, other)) == pytest.approx(expected, abs=1e-4)
    assert float(delta_e_2000(other, one)) == pytest.approx(expected, abs=1e-4)


def test_colour_differences_are_scikit_images() -> None:
    first, second = (100 * torch.rand(2, 3, 500, generator=RANDOM, dtype=torch.float64) for _ in range(2))
    first[:, 1:] -= 50
    second[:, 1:] = first[:, 1:] * torch.rand(2, 1, 500, generator=RANDOM) - 10
    first[:, 1:, :20] = 0  # grey
    expected = deltaE_ciede2000(first.movedim(1, -1).numpy(), second.movedim(1, -1).numpy())
    np.testing.assert_allclose(delta_e_2000(first, second).numpy(), expected, atol=1e-8)


def test_colourfulness() -> None:
    halves = torch.zeros(1, 3, 2, 2)
    halves[:, 0, :, 0] = 1  # left red, right green: rg = ±255, yb = 127.5
    halves[:, 1, :, 1] = 1
    assert float(colourfulness(halves)) == pytest.approx(255 + 0.37 * 127.5)
    assert float(colourfulness(torch.rand(1, 1, 4, 4).expand(1, 3, 4, 4))) == 0


def test_auc_is_the_area_under_the_curve() -> None:
    distances = 200 * torch.rand(400, generator=RANDOM, dtype=torch.float64)
    thresholds = torch.linspace(0, 150, 20_001, dtype=torch.float64)
    curve = (distances <= thresholds[:, None]).double().mean(1)
    assert float(within(distances).mean()) == pytest.approx(float(torch.trapezoid(curve, thresholds)) / 150, abs=1e-4)
