"""What moves pixels; masks, boxes and keypoints move along."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from dlkit.augment import Draws, Scenes
from dlkit.augment.geometry import about_centre, warp


def rotate(scenes: Scenes, _draws: Draws, *, angle: Tensor, fill: str) -> Scenes:
    """Counter-clockwise by ``angle`` degrees ``(B,)``, as torchvision and PIL do."""
    radians = torch.deg2rad(angle.double()).float()
    matrices = _identity(angle)
    matrices[:, 0, 0] = matrices[:, 1, 1] = radians.cos()
    matrices[:, 0, 1], matrices[:, 1, 0] = radians.sin(), -radians.sin()  # y points down
    return warp(scenes, about_centre(matrices, scenes.size), fill)


def translate(scenes: Scenes, draws: Draws, *, share: Tensor, axis: str, fill: str) -> Scenes:
    """To the right or down by ``share`` ``(B,)`` of the width or height; both: anywhere on the border of that box."""
    along = torch.ones(len(scenes), 2, device=share.device)
    if axis == "both":
        along = _one_of_two(draws)
        along = along + (1 - along) * draws.uniform("other", 1, low=-1, high=1)
    elif axis == "horizontal":
        along[:, 1] = 0
    else:
        along[:, 0] = 0
    matrices = _identity(share)
    matrices[:, :2, 2] = share[:, None] * along * share.new_tensor(scenes.size).flip(0)
    return warp(scenes, matrices, fill)


def shear(scenes: Scenes, draws: Draws, *, angle: Tensor, axis: str, fill: str) -> Scenes:
    """By ``angle`` degrees ``(B,)``; upright lines lean to the right, level lines rise to the right."""
    slopes = -torch.deg2rad(angle).tan()
    matrices = _identity(angle)
    if axis == "both":
        along = _one_of_two(draws)
        matrices[:, 0, 1], matrices[:, 1, 0] = slopes * along[:, 0], slopes * along[:, 1]
    elif axis == "horizontal":
        matrices[:, 0, 1] = slopes
    else:
        matrices[:, 1, 0] = slopes
    return warp(scenes, about_centre(matrices, scenes.size), fill)


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


def _one_of_two(draws: Draws) -> Tensor:
    """(1, 0) or (0, 1) for each image, ``(B, 2)``."""
    first = draws.integers("axis", 2, 1).float()
    return torch.cat((first, 1 - first), 1)
