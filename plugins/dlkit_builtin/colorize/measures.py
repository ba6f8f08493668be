"""How far colours are from the true ones, per image; and how colourful an image is."""

from __future__ import annotations

import math

import torch
from torch import Tensor

AUC_LIMIT = 150.0
"""Zhang et al. 2016, section 3.1, count pixels within 0 to 150 units of ab."""


def within(distances: Tensor) -> Tensor:
    """Zhang et al.'s AuC for each pixel: the share of thresholds t in [0, 150] with ``distance ≤ t``; same shape.

    Its mean over pixels is the area under the curve of "share of pixels within t", divided by 150.
    """
    return (1 - distances / AUC_LIMIT).clamp(min=0)


def colourfulness(pixels: Tensor) -> Tensor:
    """σ + 0.37 μ of the opponent colours rg = R − G and yb = (R + G) / 2 − B, on the scale of 0 to 255.

    Hasler and Süsstrunk 2003, section 7: 0 is grey, 15 slightly, 33 moderately, 59 highly, 109 extremely colourful.

    Args:
        pixels: ``(B, 3, H, W)`` in [0, 1].

    Returns:
        ``(B,)``.
    """
    red, green, blue = (255 * pixels).flatten(2).unbind(1)
    opponents = torch.stack([red - green, (red + green) / 2 - blue], 2)  # (B, N, 2)
    figures: Tensor = opponents.std(1, correction=0).norm(dim=1) + 0.37 * opponents.mean(1).norm(dim=1)
    return figures


def delta_e_2000(first: Tensor, second: Tensor) -> Tensor:
    """CIEDE2000, the difference of two colours as people see it; about 1 is just noticeable.

    Sharma, Wu and Dalal 2005, *The CIEDE2000 color-difference formula*, equations 2 to 22, with kL = kC = kH = 1.

    Args:
        first, second: L, a, b ``(B, 3, …)``.

    Returns:
        ``(B, …)``.
    """
    (l1, a1, b1), (l2, a2, b2) = first.double().unbind(1), second.double().unbind(1)
    chroma = (torch.hypot(a1, b1) + torch.hypot(a2, b2)) / 2
    stretch = 1.5 - 0.5 * _saturating(chroma)  # 1 + G
    c1, c2 = torch.hypot(stretch * a1, b1), torch.hypot(stretch * a2, b2)
    h1, h2 = _hue(b1, stretch * a1), _hue(b2, stretch * a2)
    coloured = (c1 * c2) > 0
    turn = torch.remainder(h2 - h1 + 180, 360) - 180  # the shorter way round
    turn = torch.where((h2 - h1).abs() == 180, h2 - h1, turn) * coloured
    d_l, d_c = l2 - l1, c2 - c1
    d_h = 2 * (c1 * c2).sqrt() * torch.sin(torch.deg2rad(turn / 2))
    lightness, c = (l1 + l2) / 2, (c1 + c2) / 2
    hue = torch.where(coloured, _mean_hue(h1, h2), h1 + h2)
    t = 1 - 0.17 * _cos(hue - 30) + 0.24 * _cos(2 * hue) + 0.32 * _cos(3 * hue + 6) - 0.2 * _cos(4 * hue - 63)
    middle = (lightness - 50).square()
    s_l = 1 + 0.015 * middle / (20 + middle).sqrt()
    s_c, s_h = 1 + 0.045 * c, 1 + 0.015 * c * t
    rotation = -2 * _saturating(c) * torch.sin(torch.deg2rad(60 * torch.exp(-(((hue - 275) / 25) ** 2))))
    parts = d_l / s_l, d_c / s_c, d_h / s_h
    return (sum(part.square() for part in parts) + rotation * parts[1] * parts[2]).clamp(min=0).sqrt()


def _saturating(chroma: Tensor) -> Tensor:
    seventh = chroma**7
    return (seventh / (seventh + 25.0**7)).sqrt()


def _hue(b: Tensor, a: Tensor) -> Tensor:
    return torch.remainder(torch.rad2deg(torch.atan2(b, a)), 360)


def _mean_hue(h1: Tensor, h2: Tensor) -> Tensor:
    total = h1 + h2
    beyond = torch.where(total < 360, total + 360, total - 360)
    return torch.where((h1 - h2).abs() <= 180, total, beyond) / 2


def _cos(degrees: Tensor) -> Tensor:
    return torch.cos(degrees * (math.pi / 180))
