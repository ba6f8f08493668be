"""What mixes pairs of images of a batch, and their labels by the same shares."""

from __future__ import annotations

from dataclasses import replace

import torch
from scipy.special import betaincinv
from torch import Tensor

from dlkit.augment import Draws, Scenes
from dlkit.errors import UsageError


def mixup(scenes: Scenes, draws: Draws, *, alpha: Tensor) -> Scenes:
    """λ x_i + (1 − λ) x_j, λ ~ Beta(``alpha``, ``alpha``) for each image (Zhang et al. 2018, section 2)."""
    _refuse_places(scenes, "mixup")
    share, other = beta(draws, alpha), partners(draws)
    images = torch.lerp(scenes.images[other], scenes.images, share[:, None, None, None])
    return replace(scenes, images=images, labels=mixed_labels(scenes.labels, share, other))


def cutmix(scenes: Scenes, draws: Draws, *, alpha: Tensor) -> Scenes:
    """A box of another image with 1 − λ of the area, λ ~ Beta(``alpha``, ``alpha``) (Yun et al. 2019, section 3.1).

    Labels are mixed by what is seen of each image; the box may reach beyond the border.
    """
    _refuse_places(scenes, "cutmix")
    (height, width), device = scenes.size, scenes.images.device
    share, other, centre = beta(draws, alpha), partners(draws), draws.uniform("centre", 2)
    half = (1 - share).sqrt()[:, None] / 2
    rows, columns = (torch.arange(size, device=device) + 0.5 for size in (height, width))
    tall = (rows / height - centre[:, :1]).abs() < half
    wide = (columns / width - centre[:, 1:]).abs() < half
    inside = tall[:, None, :, None] & wide[:, None, None, :]
    images = torch.where(inside, scenes.images[other], scenes.images)
    masks = None if scenes.masks is None else torch.where(inside, scenes.masks[other], scenes.masks)
    seen = 1 - tall.float().mean(1) * wide.float().mean(1)
    return replace(scenes, images=images, masks=masks, labels=mixed_labels(scenes.labels, seen, other))


def beta(draws: Draws, alpha: Tensor) -> Tensor:
    """A share ~ Beta(``alpha``, ``alpha``) for each image, float32 ``(B,)``; ``alpha`` is ``(B,)``, positive."""
    uniform = draws.on_cpu().uniform("share").double().numpy()
    own = alpha.cpu().double().numpy()
    return torch.from_numpy(betaincinv(own, own, uniform)).float().to(alpha.device)


def partners(draws: Draws) -> Tensor:
    """Another image for each, int64 ``(B,)``: the next one in an order that is drawn."""
    order = draws.on_cpu().uniform("order").argsort()
    return torch.empty_like(order).scatter_(0, order, order.roll(-1)).to(draws.device)


def mixed_labels(labels: Tensor | None, share: Tensor, other: Tensor) -> Tensor | None:
    """``share`` ``(B,)`` of each image's own labels ``(B, K)``, the rest of its partner's."""
    return None if labels is None else torch.lerp(labels[other], labels, share[:, None])


def _refuse_places(scenes: Scenes, name: str) -> None:
    blends_masks = name == "mixup" and scenes.masks is not None
    if blends_masks or scenes.boxes is not None or scenes.keypoints is not None:
        raise UsageError(f"The augmenter {name} cannot mix masks, boxes or keypoints.", "Leave it out.")
