"""Mean and standard deviation of images, in one pass and float64."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlkit.data.spec import Normalization, NormalizeMode


class Statistics:
    """Running mean and standard deviation of every pixel, on the scale [0, 1].

    Sums are of differences to the first image: exact for uint8 whatever the order, and exactly zero for
    pixels that never change.
    """

    def __init__(self) -> None:
        self._count = 0
        self._white = 1.0
        self._first: Tensor | None = None
        self._sum = self._squares = torch.zeros(0)

    def add(self, images: Tensor) -> None:
        """Take in ``(n, C, H, W)``, uint8 or float32."""
        if len(images) == 0:
            return
        if self._first is None:
            self._white = 255.0 if images.dtype == torch.uint8 else 1.0
            self._first = images[0].double()
            self._sum, self._squares = torch.zeros_like(self._first), torch.zeros_like(self._first)
        difference = images.double().sub_(self._first)
        self._count += len(images)
        self._sum += difference.sum(0)
        self._squares += difference.square_().sum(0)

    def pixels(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and population variance of each pixel, ``(C, H, W)``."""
        if self._first is None:
            raise ValueError("no images were added")
        shift = self._sum / self._count
        variance = (self._squares / self._count - shift.square()).clamp_(min=0)
        mean = (self._first + shift) / self._white
        return mean.numpy(), (variance / self._white**2).numpy()

    def channels(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and population standard deviation of each channel, ``(C,)``."""
        mean, variance = self.pixels()
        middle = mean.mean((1, 2))
        between = np.square(mean - middle[:, None, None]).mean((1, 2))
        return middle, np.sqrt(variance.mean((1, 2)) + between)

    def normalization(self, mode: NormalizeMode) -> Normalization:
        """What a model subtracts and divides by; a standard deviation of zero becomes 1."""
        if mode == "none":
            return Normalization()
        if mode == "channel":
            mean, std = (values[:, None, None] for values in self.channels())
        else:
            mean, variance = self.pixels()
            std = np.sqrt(variance) if mode == "standardize" else np.ones_like(mean)
        std = np.where(std == 0, 1.0, std)
        channels, height, width = mean.shape
        return Normalization(
            mode=mode,
            shape=(channels, height, width),
            mean=mean.astype("<f4").tobytes(),
            std=std.astype("<f4").tobytes(),
        )
