"""Colours as classes: bins of the ab plane (Zhang, Isola and Efros 2016, sections 2.1 to 2.3).

``Q`` bins lie on a grid; ``N`` colours are points ``(a, b)``.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from dlkit_builtin.colorize.lab import rgb_to_lab

NEIGHBOURS = 5
"""A colour is shared among so many bins (section 2.1)."""
CANDIDATES = 16
"""Its nearest bins are among so many that are nearest to the middle of its cell."""
_REACH = 130
"""Colours of sRGB lie within ±108."""


@cache
def gamut_bins(grid: int) -> Tensor:
    """Every point of the grid that some colour of sRGB is nearest to, ``(Q, 2)`` float32.

    A line of constant a and b that meets the cube of RGB meets its surface too, so looking at that is enough.
    """
    side = torch.linspace(0, 1, 129, dtype=torch.float64)
    first, second = (each.flatten() for each in torch.meshgrid(side, side, indexing="ij"))
    faces = []
    for end in (0.0, 1.0):
        fixed = torch.full_like(first, end)
        faces += [(fixed, first, second), (first, fixed, second), (first, second, fixed)]
    surface = torch.cat([torch.stack(face, 1) for face in faces])
    cells = (rgb_to_lab(surface)[:, 1:] / grid).round()
    bins: Tensor = torch.unique(cells, dim=0)
    return bins.mul(grid).float()


class SoftEncoding:
    """Shares colours among their nearest bins, by a Gaussian of their distance: σ = 5 at the paper's grid of 10.

    Args:
        grid: the bins' side.
        device: where colours are.
    """

    def __init__(self, grid: int, device: torch.device | str = "cpu") -> None:
        self.grid = grid
        self.bins = gamut_bins(grid).to(device)
        self.reach = _REACH // grid
        steps = torch.arange(-self.reach, self.reach + 1, device=device) * float(grid)
        middles = torch.cartesian_prod(steps, steps)
        candidates = min(CANDIDATES, len(self.bins))
        self.candidates = torch.cdist(middles, self.bins).topk(candidates, largest=False).indices  # (cells, K)

    def nearest(self, colours: Tensor) -> Tensor:
        """``(N, 2)`` → the bin of each, int64 ``(N,)``."""
        return self._sorted(colours, 1)[0][:, 0]

    def __call__(self, colours: Tensor) -> tuple[Tensor, Tensor]:
        """``(N, 2)`` → the five nearest bins, nearest first, int64 ``(N, 5)``, and their shares, which sum to one."""
        chosen, squares = self._sorted(colours, min(NEIGHBOURS, len(self.bins)))
        sigma = self.grid / 2
        return chosen, torch.softmax(-squares / (2 * sigma**2), 1)

    def _sorted(self, colours: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """The nearest bins and the squares of their distances, ``(N, count)``."""
        cells = (colours / self.grid).round().long().clamp(-self.reach, self.reach) + self.reach
        candidates = self.candidates[cells[:, 0] * (2 * self.reach + 1) + cells[:, 1]]  # (N, K)
        squares = (self.bins[candidates] - colours.unsqueeze(1)).square().sum(2)
        nearest = squares.topk(count, dim=1, largest=False)
        return candidates.gather(1, nearest.indices), nearest.values


def smoothed(counts: Tensor, bins: Tensor, sigma: float) -> Tensor:
    """How often each bin's colour occurs, ``(Q,)``, sums to one: counts smoothed by a Gaussian (section 2.2)."""
    kernel = torch.exp(-torch.cdist(bins.double(), bins.double()).square() / (2 * sigma**2))
    return (kernel / kernel.sum(0)) @ (counts.double() / counts.sum())


def balancing_weights(shares: Tensor, strength: float) -> Tensor:
    """w ∝ ((1 − λ) p + λ / Q)⁻¹ with Σ p w = 1, ``(Q,)`` (equation 4); ``strength`` is 1 − λ.

    Args:
        shares: p, ``(Q,)``, sums to one.
        strength: 0 weighs all alike, towards 1 inversely to p.
    """
    weights = 1 / (strength * shares + (1 - strength) / len(shares))
    return weights / (shares * weights).sum()


def balanced_cross_entropy(logits: Tensor, chosen: Tensor, shares: Tensor, weights: Tensor) -> Tensor:
    """−v(Z) Σ_q Z_q log Ẑ_q, mean over places (equation 2); v(Z) is the weight of Z's largest share (equation 3).

    Args:
        logits: of Ẑ, ``(B, Q, h, w)``.
        chosen, shares: Z as :class:`SoftEncoding` gives it, ``(B, 5, h, w)``, nearest bin first.
        weights: of the bins, ``(Q,)``.
    """
    likely = F.log_softmax(logits.float(), 1).gather(1, chosen)
    return -(weights[chosen[:, 0]] * (shares * likely).sum(1)).mean()


def annealed_mean(logits: Tensor, bins: Tensor, temperature: float) -> Tensor:
    """The mean colour of the distribution, sharpened: softmax(log Ẑ / T), ``(B, 2, h, w)`` (equation 5).

    T = 1 gives the mean, T → 0 the most probable bin.

    Args:
        logits: ``(B, Q, h, w)``.
        bins: ``(Q, 2)``.
        temperature: T.
    """
    sharpened = torch.softmax(logits.float() / temperature, 1)
    return F.conv2d(sharpened, bins.t()[:, :, None, None])
