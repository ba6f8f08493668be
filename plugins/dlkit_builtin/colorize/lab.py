"""CIE L*a*b* and back (CIE 15, sections 8.2.1 and appendix D; white point D65), from and to sRGB (IEC 61966-2-1).

L is lightness, 0 black to 100 white; a goes from green to red, b from blue to yellow; both are 0 for grey.
Everything is element by element in float32, so that it is exported and differentiated like any other layer.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Linear sRGB → XYZ, IEC 61966-2-1. The rows' sums are D65, so a grey pixel is exactly neutral.
_TO_XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
_WHITE = tuple(sum(row) for row in _TO_XYZ)
_FROM_XYZ: list[list[float]] = torch.linalg.inv(torch.tensor(_TO_XYZ, dtype=torch.float64)).tolist()
_DELTA = 6 / 29


def rgb_to_lab(pixels: Tensor) -> Tensor:
    """sRGB in [0, 1], ``(B, 3, …)`` → L, a, b, same shape."""
    red, green, blue = _to_linear(pixels).unbind(1)
    xyz = [(m[0] * red + m[1] * green + m[2] * blue) / white for m, white in zip(_TO_XYZ, _WHITE, strict=True)]
    x, y, z = (_root(each) for each in xyz)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """L, a, b ``(B, 3, …)`` → sRGB in [0, 1], same shape: the colour itself, or the nearest of its lightness.

    A colour that sRGB does not have is mixed, in linear light, with the grey of the same luminance Y, just as much as
    it needs. The mixture has that luminance too, so **L stays what it is**, which clipping each channel would change.
    """
    y = ((lab[:, 0] + 16) / 116).unsqueeze(1)
    grey = _unroot(y).clamp(0, 1)  # (B, 1, …)
    linear = _to_linear_rgb(lab, y.squeeze(1))
    ones = torch.ones_like(linear)
    # Of grey + s (linear - grey), the largest s in [0, 1] that keeps each channel in [0, 1]:
    above = torch.where(linear > 1, (1 - grey) / (linear - grey).clamp(min=1e-12), ones)
    below = torch.where(linear < 0, grey / (grey - linear).clamp(min=1e-12), ones)
    share = torch.minimum(above, below).amin(1, keepdim=True).clamp(0, 1)
    return _to_srgb((grey + share * (linear - grey)).clamp(0, 1))


def _to_linear_rgb(lab: Tensor, y: Tensor) -> Tensor:
    roots = (y + lab[:, 1] / 500, y, y - lab[:, 2] / 200)
    x, y, z = (_unroot(root) * white for root, white in zip(roots, _WHITE, strict=True))
    return torch.stack([m[0] * x + m[1] * y + m[2] * z for m in _FROM_XYZ], 1)


def _to_linear(pixels: Tensor) -> Tensor:
    # The clamps keep the branch that is not taken, and so its gradient, finite; likewise below.
    curve = ((pixels.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(pixels <= 0.04045, pixels / 12.92, curve)


def _to_srgb(linear: Tensor) -> Tensor:
    curve = 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear <= 0.0031308, 12.92 * linear, curve)


def _root(values: Tensor) -> Tensor:
    line = values / (3 * _DELTA**2) + 4 / 29
    return torch.where(values > _DELTA**3, values.clamp(min=_DELTA**3) ** (1 / 3), line)


def _unroot(values: Tensor) -> Tensor:
    return torch.where(values > _DELTA, values**3, 3 * _DELTA**2 * (values - 4 / 29))
