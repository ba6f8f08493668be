"""Moving pixels: images, masks, boxes and keypoints by one transformation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from dlkit.augment.scenes import Scenes

Movement = Callable[[Tensor], Tensor]
"""Where points ``(B, N, 2)`` go."""
Sources = Callable[[slice], Tensor]
"""Where each output pixel of some images is taken from, ``(n, H, W, 2)`` in grid_sample's coordinates."""
_PADDING = {"black": "zeros", "edge": "border", "mirror": "reflection"}
_CACHED = 2**17  # numbers that a core's own cache holds with room to spare


def warp(scenes: Scenes, matrices: Tensor, fill: str = "black") -> Scenes:
    """Move each image by a projective transformation.

    Args:
        scenes: the images.
        matrices: float32 ``(B, 3, 3)``: where a point (x, y, 1) of the image goes; coordinates as in
            :class:`Scenes`. Images are interpolated bilinearly, masks take the nearest pixel.
        fill: one of :data:`dlkit.augment.card.FILLS`.
    """
    height, width = scenes.size
    sources = _sources(torch.linalg.inv(matrices), height, width)
    return _resample(scenes, sources, fill, lambda points: transformed(points, matrices))


def displace(scenes: Scenes, shifts: Tensor, fill: str = "black") -> Scenes:
    """Move each pixel by its own shift.

    Args:
        scenes: the images.
        shifts: float32 ``(B, H, W, 2)``: how far to the right and down, in pixels, the place lies from which a pixel
            is taken. Points move against the shift at their place, exactly so for shifts that change slowly.
        fill: one of :data:`dlkit.augment.card.FILLS`.
    """
    height, width = scenes.size
    device = shifts.device
    x, y = torch.arange(width, device=device) + 0.5, torch.arange(height, device=device) + 0.5
    sources = torch.stack(
        ((x + shifts[..., 0]) * (2 / width) - 1, (y[:, None] + shifts[..., 1]) * (2 / height) - 1), -1
    )

    def moved(points: Tensor) -> Tensor:
        scale = points.new_tensor([2 / width, 2 / height])
        field, result = shifts.permute(0, 3, 1, 2), points
        for _ in range(3):  # towards the fixed point p = p₀ − shift(p)
            at = (result * scale - 1).nan_to_num()[:, None]
            found = F.grid_sample(field, at, padding_mode="border", align_corners=False)
            result = points - found[:, :, 0].transpose(1, 2)
        return result

    return _resample(scenes, lambda rows: sources[rows], fill, moved)


def transformed(points: Tensor, matrices: Tensor) -> Tensor:
    """Points ``(B, N, 2)`` under transformations ``(B, 3, 3)``."""
    homogeneous = torch.cat((points, torch.ones_like(points[..., :1])), -1) @ matrices.transpose(1, 2)
    moved: Tensor = homogeneous[..., :2] / homogeneous[..., 2:]
    return moved


def about_centre(matrices: Tensor, size: tuple[int, int]) -> Tensor:
    """Transformations ``(B, 3, 3)`` around (0, 0) → the same around the middle of an image of that size."""
    unit = torch.eye(3, device=matrices.device)
    shift = unit.clone()
    shift[0, 2], shift[1, 2] = size[1] / 2, size[0] / 2
    around: Tensor = shift @ matrices @ (2 * unit - shift)  # the last one shifts back
    return around


def onto(corners: Tensor, size: tuple[int, int]) -> Tensor:
    """The transformations ``(B, 3, 3)`` that bring an image's corners to others (Heckbert 1989, section 2.2.3).

    Args:
        corners: float32 ``(B, 4, 2)``: where the upper left, upper right, lower right and lower left corner go.
        size: height and width of the images.
    """
    first, second, third, fourth = corners.unbind(1)  # (B, 2)
    one, three, total = second - third, fourth - third, first - second + third - fourth
    whole = _cross(one, three)
    g, h = _cross(total, three) / whole, _cross(one, total) / whole  # (B, 1)
    last = torch.cat((g, h, torch.ones_like(g)), 1)[:, None]
    columns = torch.stack((second - first + g * second, fourth - first + h * fourth, first), 2)
    return torch.cat((columns, last), 1) / corners.new_tensor([size[1], size[0], 1.0])


def _cross(one: Tensor, other: Tensor) -> Tensor:
    return one[:, :1] * other[:, 1:] - one[:, 1:] * other[:, :1]


def moved_boxes(boxes: Tensor, moved: Movement, size: tuple[int, int]) -> Tensor:
    """The upright boxes around the moved corners of boxes ``(B, N, 4)``, cut at the image's border.

    A box that has left the image becomes NaN.
    """
    x1, y1, x2, y2 = boxes.unbind(-1)
    corners = torch.stack((x1, y1, x2, y1, x2, y2, x1, y2), -1).reshape(len(boxes), -1, 2)
    corners = moved(corners).reshape(*boxes.shape[:2], 4, 2)
    limits = boxes.new_tensor([size[1], size[0]])
    low, high = corners.amin(2).clamp_min(0), torch.minimum(corners.amax(2), limits)
    found = torch.cat((low, high), -1)
    return torch.where((high > low).all(-1, keepdim=True), found, torch.nan)


def _sources(inverse: Tensor, height: int, width: int) -> Sources:
    """Under transformations from output to input ``(B, 3, 3)``; planes of x and y, which are summed fastest."""
    to_grid = torch.tensor([[2 / width, 0, -1], [0, 2 / height, -1], [0, 0, 1]], device=inverse.device)
    m = (to_grid @ inverse)[..., None]  # (B, 3, 3, 1)
    x = torch.arange(width, device=inverse.device) + 0.5
    y = torch.arange(height, device=inverse.device) + 0.5
    across, down = m[:, :, 0] * x, m[:, :, 1] * y + m[:, :, 2]  # (B, 3, W), (B, 3, H)
    if inverse.device.type == "cpu" and not bool((inverse[:, 2, :2] != 0).any()):
        across, down = across[:, :2], down[:, :2]  # none is seen from aside: the third is 1

    def of(rows: slice) -> Tensor:
        places = across[rows, :, None] + down[rows, ..., None]
        if places.shape[1] == 3:
            depth = places[:, 2:].clamp_min_(1e-4)  # behind the eye: far outside
            places = places[:, :2].mul_(depth.reciprocal_())
        return places.permute(0, 2, 3, 1)

    return of


def _interpolated(images: Tensor, sources: Sources, padding: str) -> Tensor:
    """Bilinearly. On a CPU a few images at a time: pixels are gathered up to three times as fast from an image that was
    just copied, and so is in the core's own cache."""
    if images.device.type != "cpu":
        return F.grid_sample(images, sources(slice(None)), padding_mode=padding, align_corners=False)
    result = torch.empty_like(images, memory_format=torch.contiguous_format)
    count = torch.get_num_threads() * max(1, _CACHED // images.shape[1:].numel())
    for start in range(0, len(images), count):
        rows = slice(start, start + count)
        near = images[rows].clone(memory_format=torch.contiguous_format)
        result[rows] = F.grid_sample(near, sources(rows), padding_mode=padding, align_corners=False)
    return result


def _resample(scenes: Scenes, sources: Sources, fill: str, moved: Movement) -> Scenes:
    padding = _PADDING[fill]
    images = _interpolated(scenes.images, sources, padding)
    masks = scenes.masks
    if masks is not None:
        everywhere = sources(slice(None)).double()
        nearest = F.grid_sample(masks.double(), everywhere, mode="nearest", padding_mode=padding, align_corners=False)
        masks = nearest.to(masks.dtype)
    boxes = None if scenes.boxes is None else moved_boxes(scenes.boxes, moved, scenes.size)
    points = None if scenes.keypoints is None else moved(scenes.keypoints)
    return replace(scenes, images=images, masks=masks, boxes=boxes, keypoints=points)
