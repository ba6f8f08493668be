"""Figures of image quality, beside NumPy and formulas from the papers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from torch import Tensor

from dlkit.baselines import image_quality
from dlkit.baselines.quality import mean_and_interval


def pair(shape: tuple[int, ...] = (4, 3, 12, 10)) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(shape, generator=generator)
    return (target + 0.2 * torch.randn(shape, generator=generator)), target


def ssim(a: NDArray[np.float64], b: NDArray[np.float64], window: int) -> float:
    """Wang et al. 2004, equation 13, with sample covariances in a uniform window, over the windows inside the image."""

    def mean(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(uniform_filter(x, window))

    n = window**2
    c1, c2 = 0.01**2, 0.03**2
    ma, mb = mean(a), mean(b)
    va, vb, vab = (n / (n - 1) * (mean(x) - y) for x, y in ((a * a, ma * ma), (b * b, mb * mb), (a * b, ma * mb)))
    values = (2 * ma * mb + c1) * (2 * vab + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    edge = window // 2
    return float(values[edge:-edge, edge:-edge].mean())


@pytest.mark.parametrize(("size", "window"), [((12, 10), 7), ((8, 8), 7), ((6, 9), 5), ((4, 4), 3), ((3, 3), 3)])
def test_figures_are_the_formulas(size: tuple[int, int], window: int) -> None:
    images, targets = pair((4, 3, *size))
    quality = image_quality(images, targets)
    difference = images.double().numpy() - targets.double().numpy()
    for index in range(4):
        squares = difference[index] ** 2
        assert quality.mse[index] == pytest.approx(squares.mean(), rel=1e-6)
        assert quality.squared_error[index] == pytest.approx(squares.sum(), rel=1e-6)
        assert quality.psnr[index] == pytest.approx(20 * math.log10(1 / math.sqrt(squares.mean())), rel=1e-6)
        a, b = images[index].double().numpy(), targets[index].double().numpy()
        expected = np.mean([ssim(x, y, window) for x, y in zip(a, b, strict=True)])
        assert quality.ssim[index] == pytest.approx(expected, abs=1e-4)
    assert all(values.dtype == np.float64 for values in (quality.mse, quality.psnr, quality.ssim))


def test_an_exact_image_has_the_largest_figures_not_infinite_ones() -> None:
    _, targets = pair()
    quality = image_quality(targets, targets)
    assert (quality.mse == 0).all()
    assert (quality.psnr == 100).all()
    assert quality.ssim == pytest.approx(np.ones(4))
    noisy = targets.clone()
    noisy[0] += 0.1
    assert math.isfinite(image_quality(noisy, targets).psnr.mean())


def test_images_too_small_for_a_window_have_no_ssim() -> None:
    images, targets = pair((2, 1, 1, 7))
    assert np.isnan(image_quality(images, targets).ssim).all()


def test_mean_and_interval() -> None:
    mean, interval = mean_and_interval(np.array([1.0, 2.0, 3.0, 4.0]))
    assert mean == 2.5
    assert interval == pytest.approx((2.5 - 1.96 * 1.2909944 / 2, 2.5 + 1.96 * 1.2909944 / 2))
    assert mean_and_interval(np.array([3.0])) == (3.0, None)
    assert mean_and_interval(np.array([3.0, math.inf])) == (math.inf, None)
