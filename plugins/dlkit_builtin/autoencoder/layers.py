"""The pieces of the convolutional networks: pooling with switches, and ways to grow."""

from __future__ import annotations

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
