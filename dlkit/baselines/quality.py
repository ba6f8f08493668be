"""How close images are to what they should be: MSE, squared error, PSNR, SSIM; one figure per image."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlkit.metrics import Metric


@dataclass(frozen=True)
class Quality:
    """Figures for each of ``N`` images, float64 ``(N,)``.

    Attributes:
        mse: mean squared error over pixels and channels, pixels in [0, 1].
        squared_error: the sum instead of the mean (Hinton and Salakhutdinov 2006 report this one).
        psnr: 10 log₁₀(1 / mse) in dB, at most 100: see :func:`psnr`.
        ssim: structural similarity (Wang et al. 2004) with scikit-image's default window of 7 × 7 (smaller for
            smaller images), data range 1, mean over channels.
    """

    mse: NDArray[np.float64]
    squared_error: NDArray[np.float64]
    psnr: NDArray[np.float64]
    ssim: NDArray[np.float64]


def image_quality(images: Tensor, targets: Tensor) -> Quality:
    """Compare images with targets, both ``(N, C, H, W)`` float32."""
    difference = (images - targets).double().flatten(1)
    mse = difference.square().mean(1)
    return Quality(
        mse=mse.numpy(),
        squared_error=difference.square().sum(1).numpy(),
        psnr=psnr(mse).numpy(),
        ssim=_ssim(images, targets),
    )


def psnr(mse: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of pixels in [0, 1], at most 100.

    An exact image would have +inf, and one such image (black, where the noise only takes pixels away) would make
    every mean infinite and every comparison void.
    """
    return -10 * torch.log10(mse.clamp_min(1e-10))


def quality_metrics(
    restored: Tensor, targets: Tensor, others: Mapping[str, Tensor], *, split: str, note: str
) -> Iterator[Metric]:
    """PSNR, SSIM, MSE and squared error, means over images with intervals, beside those of other methods.

    Args:
        restored: what the model made, ``(N, C, H, W)``.
        targets: what it should be, same shape.
        others: name of a simpler method → what it made, same shape.
        split: of the images.
        note: what they are.
    """
    own = image_quality(restored, targets)
    beside = {name: image_quality(images, targets) for name, images in others.items()}
    for name, label, unit, better in _FIGURES:
        value, interval = mean_and_interval(getattr(own, name))
        if math.isnan(value):  # SSIM of images that are smaller than any window
            continue
        yield Metric(
            name=name,
            label=label,
            value=value,
            split=split,
            unit=unit,
            better=better,
            interval=interval,
            baselines={other: float(getattr(quality, name).mean()) for other, quality in beside.items()},
            note=note,
        )


_FIGURES: tuple[tuple[str, str, str, Literal["higher", "lower"]], ...] = (
    ("psnr", "PSNR", "dB", "higher"),
    ("ssim", "SSIM", "", "higher"),
    ("mse", "MSE per pixel", "", "lower"),
    ("squared_error", "squared error per image", "", "lower"),
)


def mean_and_interval(values: NDArray[np.float64]) -> tuple[float, tuple[float, float] | None]:
    """Mean and its 95 % confidence interval by the normal approximation (none for fewer than two values)."""
    mean = float(values.mean())
    if len(values) < 2 or not math.isfinite(mean):
        return mean, None
    half = 1.96 * float(values.std(ddof=1)) / math.sqrt(len(values))
    return mean, (mean - half, mean + half)


def _ssim(images: Tensor, targets: Tensor) -> NDArray[np.float64]:
    from skimage.metrics import structural_similarity

    smallest = min(images.shape[2:])
    window = min(7, smallest if smallest % 2 else smallest - 1)
    if window < 3:
        return np.full(len(images), math.nan)  # no window to speak of: SSIM says nothing about so few pixels
    pairs = zip(images.numpy(), targets.numpy(), strict=True)
    return np.array(
        [structural_similarity(a, b, win_size=window, data_range=1.0, channel_axis=0) for a, b in pairs],
        dtype=np.float64,
    )
