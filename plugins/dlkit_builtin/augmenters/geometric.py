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


def translate(scenes: Scenes, draws: Draws, *, share: Tensor, fill: str) -> Scenes:
    """To the right by ``share`` of the width; down by a share of the height drawn between ± ``share``."""
    height, width = scenes.size
    matrices = _identity(share)
    matrices[:, 0, 2] = share * width
    matrices[:, 1, 2] = share * draws.uniform("down", low=-1, high=1) * height
    return warp(scenes, matrices, fill)


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
