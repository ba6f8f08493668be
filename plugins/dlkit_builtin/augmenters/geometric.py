"""What moves pixels; masks, boxes and keypoints move along."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from dlkit.augment import Draws, Scenes
from dlkit.augment.geometry import about_centre, displace, moved_boxes, onto, warp
from dlkit_builtin.augmenters.fields import smooth

_WHOLE = 1e-3  # pixels


def rotate(scenes: Scenes, _draws: Draws, *, angle: Tensor, fill: str) -> Scenes:
    """Counter-clockwise by ``angle`` degrees ``(B,)``, as torchvision and PIL do."""
    return warp(scenes, about_centre(_turn(angle), scenes.size), fill)


def translate(scenes: Scenes, draws: Draws, *, share: Tensor, axis: str, fill: str) -> Scenes:
    """To the right or down by ``share`` ``(B,)`` of the width or height; both: anywhere on the border of that box."""
    shifts = _shifts(share, draws, axis, scenes.size)
    if shifts.device.type == "cpu" and fill == "black" and (shifts - shifts.round()).abs().max() < _WHOLE:
        return _slid(scenes, shifts.round())
    matrices = _identity(share)
    matrices[:, :2, 2] = shifts
    return warp(scenes, matrices, fill)


def shear(scenes: Scenes, draws: Draws, *, angle: Tensor, axis: str, fill: str) -> Scenes:
    """By ``angle`` degrees ``(B,)``; upright lines lean to the right, level lines rise to the right."""
    return warp(scenes, about_centre(_slant(angle, draws, axis), scenes.size), fill)


def scale(scenes: Scenes, _draws: Draws, *, change: Tensor, fill: str) -> Scenes:
    """Around the middle, 1 + ``change`` ``(B,)`` times as large, or 1 / (1 − change) where it is negative."""
    return warp(scenes, about_centre(_size(change), scenes.size), fill)


def affine(
    scenes: Scenes, draws: Draws, *, angle: Tensor, share: Tensor, change: Tensor, slant: Tensor, fill: str
) -> Scenes:
    """Scaled, sheared, turned and shifted, as the four after one another do, but interpolated once."""
    around = _turn(angle) @ _slant(slant, draws.fork("slant"), "both") @ _size(change)
    matrices = about_centre(around, scenes.size)
    matrices[:, :2, 2] += _shifts(share, draws, "both", scenes.size)
    return warp(scenes, matrices, fill)


def perspective(scenes: Scenes, draws: Draws, *, distortion: Tensor, fill: str) -> Scenes:
    """Each corner moves inwards by up to ``distortion`` ``(B,)`` of half the width and height, as torchvision's."""
    half = distortion.new_tensor(scenes.size).flip(0) / 2
    signs = distortion.new_tensor([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    moves = draws.uniform("corners", 4, 2) * distortion[:, None, None]
    return warp(scenes, onto(half + signs * half * (1 - moves), scenes.size), fill)


def crop(scenes: Scenes, draws: Draws, *, cut: Tensor, jitter: Tensor) -> Scenes:
    """A part without ``cut`` ``(B,)`` of each side, enlarged; its place anywhere (``jitter`` 1) or the middle (0)."""
    size = cut.new_tensor(scenes.size).flip(0)
    place = 0.5 + jitter[:, None] * (draws.uniform("offset", 2) - 0.5)
    matrices = _identity(cut)
    matrices[:, 0, 0] = matrices[:, 1, 1] = 1 / (1 - cut)
    matrices[:, :2, 2] = -(place * cut[:, None] * size) / (1 - cut[:, None])
    return warp(scenes, matrices, "edge")


def elastic(scenes: Scenes, draws: Draws, *, shift: Tensor, smoothness: Tensor, fill: str) -> Scenes:
    """Each pixel by normal shifts with a standard deviation of ``shift`` ``(B,)`` of the shorter side, alike at places
    nearer than ``smoothness`` ``(B,)`` of it (Simard et al. 2003, section 2)."""
    fields = smooth(draws, "shifts", 2, scenes.size, smoothness)
    shifts = fields * (shift * min(scenes.size))[:, None, None, None]
    return displace(scenes, shifts.permute(0, 2, 3, 1), fill)


def flip(scenes: Scenes, _draws: Draws, *, axis: str) -> Scenes:
    """Every image, left to right or upside down."""
    dimension, size = (-1, scenes.size[1]) if axis == "horizontal" else (-2, scenes.size[0])
    first = 0 if axis == "horizontal" else 1
    boxes, points = scenes.boxes, scenes.keypoints
    if boxes is not None:
        boxes = boxes.clone()
        boxes[..., [first, first + 2]] = size - boxes[..., [first + 2, first]]
    if points is not None:
        points = points.clone()
        points[..., first] = size - points[..., first]
    masks = None if scenes.masks is None else scenes.masks.flip(dimension)
    return replace(scenes, images=scenes.images.flip(dimension), masks=masks, boxes=boxes, keypoints=points)


def _identity(values: Tensor) -> Tensor:
    return torch.eye(3, device=values.device).repeat(len(values), 1, 1)


def _turn(angle: Tensor) -> Tensor:
    """Around (0, 0) by degrees ``(B,)``, ``(B, 3, 3)``."""
    radians = torch.deg2rad(angle.double()).float()
    matrices = _identity(angle)
    matrices[:, 0, 0] = matrices[:, 1, 1] = radians.cos()
    matrices[:, 0, 1], matrices[:, 1, 0] = radians.sin(), -radians.sin()  # y points down
    return matrices


def _slant(angle: Tensor, draws: Draws, axis: str) -> Tensor:
    """Shear at (0, 0) by degrees ``(B,)``, ``(B, 3, 3)``."""
    slopes = -torch.deg2rad(angle).tan()
    matrices = _identity(angle)
    if axis == "both":
        along = _one_of_two(draws)
        matrices[:, 0, 1], matrices[:, 1, 0] = slopes * along[:, 0], slopes * along[:, 1]
    elif axis == "horizontal":
        matrices[:, 0, 1] = slopes
    else:
        matrices[:, 1, 0] = slopes
    return matrices


def _size(change: Tensor) -> Tensor:
    """Enlarged around (0, 0) by changes ``(B,)``, ``(B, 3, 3)``."""
    matrices = _identity(change)
    matrices[:, 0, 0] = matrices[:, 1, 1] = ratio(change)
    return matrices


def _shifts(share: Tensor, draws: Draws, axis: str, size: tuple[int, int]) -> Tensor:
    """To the right and down in pixels, ``(B, 2)``, for shares ``(B,)`` of the width and height."""
    along = torch.ones(len(share), 2, device=share.device)
    if axis == "both":
        along = _one_of_two(draws)
        along = along + (1 - along) * draws.uniform("other", 1, low=-1, high=1)
    elif axis == "horizontal":
        along[:, 1] = 0
    else:
        along[:, 0] = 0
    return share[:, None] * along * share.new_tensor(size).flip(0)


def _slid(scenes: Scenes, shifts: Tensor) -> Scenes:
    """By whole pixels ``(B, 2)`` to the right and down: rows are copied, a tenth of the time of interpolation."""

    def slid(images: Tensor) -> Tensor:
        result = torch.zeros_like(images)
        height, width = scenes.size
        for image, moved, (x, y) in zip(images, result, shifts.int().tolist(), strict=True):
            if abs(x) < width and abs(y) < height:
                part = image[:, max(0, -y) : height - max(0, y), max(0, -x) : width - max(0, x)]
                moved[:, max(0, y) : height + min(0, y), max(0, x) : width + min(0, x)] = part
        return result

    def move(points: Tensor) -> Tensor:
        return points + shifts[:, None]

    masks, boxes, points = scenes.masks, scenes.boxes, scenes.keypoints
    return replace(
        scenes,
        images=slid(scenes.images),
        masks=None if masks is None else slid(masks),
        boxes=None if boxes is None else moved_boxes(boxes, move, scenes.size),
        keypoints=None if points is None else move(points),
    )


def _one_of_two(draws: Draws) -> Tensor:
    """(1, 0) or (0, 1) for each image, ``(B, 2)``."""
    first = draws.integers("axis", 2, 1).float()
    return torch.cat((first, 1 - first), 1)


def ratio(change: Tensor) -> Tensor:
    """1 + change; 1 / (1 − change) where it is negative: so much more or less alike."""
    return torch.where(change >= 0, 1 + change, 1 / (1 + change.abs()))
