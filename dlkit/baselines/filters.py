"""The best classical denoiser: Gaussian or median filter, its width chosen on training images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, median_filter
from torch import Tensor

from dlkit.baselines.quality import psnr

GAUSSIAN_SIGMAS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0)
MEDIAN_SIZES = (2, 3, 4, 5, 7)


@dataclass(frozen=True)
class Filter:
    """A filter that acts on each channel of each image, its output clipped to [0, 1] as a pixel is.

    Clipping is to the filter's favour: 0.6 dB on Fashion-MNIST with Gaussian noise of σ = 0.3.

    Attributes:
        name: as shown in tables: ``Gaussian filter, σ 0.8 px``.
    """

    name: str
    apply_numpy: Callable[[NDArray[np.float32]], NDArray[np.float32]]

    def __call__(self, images: Tensor) -> Tensor:
        """``(N, C, H, W)`` → the same shape."""
        return torch.from_numpy(np.asarray(self.apply_numpy(images.numpy()), dtype=np.float32)).clamp_(0, 1)


def best_filter(corrupted: Tensor, clean: Tensor) -> Filter:
    """The filter and width with the highest mean PSNR on these (training) images, ``(N, C, H, W)``."""

    def mean_psnr(candidate: Filter) -> float:
        return float(psnr((candidate(corrupted) - clean).double().flatten(1).square().mean(1)).mean())

    return max(candidates(), key=mean_psnr)


def candidates() -> list[Filter]:
    """All filters and widths that compete."""
    gaussians = [
        Filter(
            f"Gaussian filter, σ {sigma:g} px",
            partial(gaussian_filter, sigma=(0, 0, sigma, sigma)),
        )
        for sigma in GAUSSIAN_SIGMAS
    ]
    medians = [
        Filter(f"median filter, {size} × {size}", partial(median_filter, size=(1, 1, size, size)))
        for size in MEDIAN_SIZES
    ]
    return gaussians + medians
