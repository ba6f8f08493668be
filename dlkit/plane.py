"""The plane of a code of two units: images decoded on a lattice, with the data's codes; for pictures and the report."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from dlkit.baselines import spread
from dlkit.files import atomic_path, write_json
from dlkit.report import Picture
from dlkit.report.picture import PLANE, PLANE_IMAGES

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.runtime import Runtime

_COUNT, _SIDE, _VALUES = 41, 64, 3_000_000
"""Images along a side of the lattice, pixels along a side of each, and values in all of them: at most."""
_FITTED, _POINTS = 5_000, 1_500
"""Training images whose codes give the range, held-out images whose codes are drawn: at most."""
_SHOWN = 21
"""Images along a side of the picture, at most."""

Range = tuple[float, float]


@dataclass(frozen=True)
class Plane:
    """A piece of the plane.

    Attributes:
        x, y: range of the first and of the second unit.
        images: pixels ``(n, n, C, h, w)``; rows from the highest second unit to the lowest, columns from the lowest
            first unit to the highest, evenly spaced, the ends of the ranges included.
        points: codes of the data ``(M, 2)``.
        labels: their classes, int64 ``(M,)``, −1 where unknown.
        classes: names.
    """

    x: Range
    y: Range
    images: Tensor
    points: Tensor
    labels: Tensor
    classes: tuple[str, ...]


def lattice(x: Range, y: Range, count: int) -> Tensor:
    """Codes ``(count², 2)`` in the order of :attr:`Plane.images`."""
    across = torch.linspace(*x, count)
    down = torch.linspace(y[1], y[0], count)
    return torch.stack([across.repeat(count), down.repeat_interleave(count)], 1)


def code_ranges(codes: Tensor) -> list[Range]:
    """Where each unit of codes ``(N, Z)`` mostly is: between its percentiles 0.5 and 99.5, and 5 % further; a unit that
    never changes gets a range of its own size."""
    low, high = torch.quantile(codes.double(), torch.tensor([0.005, 0.995], dtype=torch.float64), dim=0)
    margin = torch.where(high > low, 0.05 * (high - low), low.abs().clamp_min(1))
    return list(zip((low - margin).tolist(), (high + margin).tolist(), strict=True))


def make_plane(technique: Any, data: ImageData, runtime: Runtime) -> Plane | None:
    """The plane that a run's codes span; None where codes have other than two units, or there are no images.

    Args:
        technique: it encodes and decodes; its modules are on the device and in eval mode.
        data: ``data.train`` gives the range, ``data.held_out`` the points.
        runtime: where it is computed.
    """
    train, held_out = spread(data.train, _FITTED), spread(data.held_out, _POINTS)
    if not len(train) or runtime.collect(technique.encode, spread(train, 1)).shape[1] != 2:
        return None
    x, y = code_ranges(runtime.collect(technique.encode, train))
    points = runtime.collect(technique.encode, held_out)
    codes = lattice(x, y, _fitting(data.spec.shape))
    with runtime.inference():
        parts = [technique.decode(part.to(runtime.device)).float().cpu() for part in torch.split(codes, 250)]
    images = _shrunk(torch.cat(parts)).clamp(0, 1)
    count = math.isqrt(len(images))
    labels = torch.full((len(points),), -1) if held_out.labels is None else held_out.labels
    return Plane(x, y, images.view(count, count, *images.shape[1:]), points, labels, data.spec.classes)


def _fitting(shape: tuple[int, int, int]) -> int:
    """Images along a side: an odd number, so that there is one in the middle."""
    channels, height, width = shape
    factor = max(1.0, max(height, width) / _SIDE)
    count = min(_COUNT, math.isqrt(int(_VALUES * factor**2 / (channels * height * width))))
    return max(5, count - 1 + count % 2)


def _shrunk(images: Tensor) -> Tensor:
    height, width = images.shape[2:]
    factor = _SIDE / max(height, width)
    if factor >= 1:
        return images
    return F.interpolate(images, size=(max(1, int(height * factor)), max(1, int(width * factor))), mode="area")


def tiled(images: Tensor) -> Tensor:
    """Rows and columns of images ``(r, c, C, h, w)`` as one image ``(1 or 3, r · h, c · w)``."""
    rows, columns, channels, height, width = images.shape
    whole = images.permute(2, 0, 3, 1, 4).reshape(channels, rows * height, columns * width)
    return whole if channels in (1, 3) else whole.mean(0, keepdim=True)


def save_plane(plane: Plane, plots_dir: Path) -> None:
    """Write ``plane.json`` and ``plane-images.png``, from which the report is written."""
    pixels = (tiled(plane.images) * 255).round().byte().permute(1, 2, 0).numpy()
    stream = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(stream, "PNG", optimize=True)
    with atomic_path(plots_dir / PLANE_IMAGES) as temporary:
        temporary.write_bytes(stream.getvalue())
    facts = {
        "x": list(plane.x),
        "y": list(plane.y),
        "count": plane.images.shape[0],
        "height": plane.images.shape[-2],
        "width": plane.images.shape[-1],
        "points": [[float(f"{value:.5g}") for value in point] for point in plane.points.tolist()],
        "labels": plane.labels.tolist(),
        "classes": list(plane.classes),
    }
    write_json(plots_dir / PLANE, facts)


def plane_picture(plane: Plane) -> Picture:
    """The plane as a picture, for where the page cannot be interactive."""
    from dlkit.report.code_plots import image_plane

    step = math.ceil(len(plane.images) / _SHOWN)
    first = (len(plane.images) - 1) % step // 2
    shown = plane.images[first::step, first::step]
    places = torch.linspace(0, 1, len(plane.images))[first::step]
    x, y = (
        [low + float(place) * (high - low) for place in (places[0], places[-1])] for low, high in (plane.x, plane.y)
    )
    caption = "What the decoder makes of each point of the plane, over the range of the training images' codes."
    return Picture("code-plane", "The plane of codes", caption, image_plane(tiled(shown), len(shown), x, y))
