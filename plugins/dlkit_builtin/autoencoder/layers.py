"""The pieces of the networks: pooling with switches, ways to grow, and layers whose weights are another's."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Pool(nn.Module):
    """2 × 2 max-pooling that also tells where each maximum was (its *switch*)."""

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, C, H, W)`` → ``(B, C, ⌈H/2⌉, ⌈W/2⌉)`` and the flat positions of the maxima, int64, same shape."""
        return F.max_pool2d(maps, 2, ceil_mode=True, return_indices=True)


class Unpool(nn.Module):
    """Each value back to where its maximum was, zeros elsewhere (Zeiler and Fergus 2014, section 2.1).

    Args:
        size: height and width to grow to.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, maps: Tensor, switches: Tensor) -> Tensor:
        """``(B, C, h, w)`` twice → ``(B, C, H, W)``. By scatter, which every exporter knows."""
        height, width = self.size
        flat = maps.new_zeros(maps.shape[0], maps.shape[1], height * width)
        grown = flat.scatter(2, switches.flatten(2), maps.flatten(2))
        return grown.view(maps.shape[0], maps.shape[1], height, width)


class Nearest(nn.Module):
    """Nearest-neighbour upsampling to an exact size (Odena et al. 2016: no checkerboard).

    Args:
        size: height and width to grow to.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, maps: Tensor) -> Tensor:
        """``(B, C, h, w)`` → ``(B, C, H, W)``."""
        return F.interpolate(maps, size=self.size, mode="nearest")


class Transposed(nn.Module):
    """The transpose of another layer's weights, with a bias of its own: ``tied`` weights.

    The weights stay the other layer's: they are kept, trained, saved and exported once.

    Args:
        layer: W, ``(units, inputs)``.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self._layer = [layer]  # in a list, so that it is no submodule of this one too
        self.bias = nn.Parameter(torch.zeros(layer.in_features))

    def forward(self, values: Tensor) -> Tensor:
        """``(B, units)`` → ``(B, inputs)``: Wᵀ h + c."""
        return F.linear(values, self._layer[0].weight.t(), self.bias)


class TransposedConv(nn.Module):
    """The adjoint of a convolution of stride 2: a transposed convolution with its kernels, and a bias of its own.

    Args:
        layer: the convolution.
        small, large: height and width of what it gives and of what it takes.
    """

    def __init__(self, layer: nn.Conv2d, small: tuple[int, int], large: tuple[int, int]) -> None:
        super().__init__()
        self._layer = [layer]  # as above
        self.bias = nn.Parameter(torch.zeros(layer.in_channels))
        self.padding = layer.kernel_size[0] // 2
        self.missing = missing(small, large)

    def forward(self, maps: Tensor) -> Tensor:
        """``(B, channels, h, w)`` → ``(B, C, H, W)``."""
        return F.conv_transpose2d(
            maps, self._layer[0].weight, self.bias, stride=2, padding=self.padding, output_padding=self.missing
        )


def missing(small: tuple[int, int], large: tuple[int, int]) -> tuple[int, int]:
    """The ``output_padding`` with which a transposed convolution of stride 2, n → 2n − 1, gives the exact size."""
    return large[0] - 2 * small[0] + 1, large[1] - 2 * small[1] + 1
