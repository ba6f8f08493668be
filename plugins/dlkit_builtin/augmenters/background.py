"""Another background: pictures from a folder behind what masks say is in front."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from dlkit.augment import Draws, Scenes
from dlkit.errors import UsageError
from dlkit_builtin.augmenters.colour import luma

_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
_KEPT = 256


def background(scenes: Scenes, draws: Draws, *, folder: str) -> Scenes:
    """Pixels that no mask covers come from a part of a picture of the folder, for each image another one."""
    if scenes.masks is None:
        raise UsageError("The augmenter background needs masks.", "Leave it out.")
    files, size = _files(folder), scenes.size
    here = draws.on_cpu()
    chosen, offsets = here.integers("picture", len(files)).tolist(), here.uniform("offset", 2).tolist()
    channels = scenes.images.shape[1]
    behind = torch.stack([_part(_picture(files[file], size), size, at, channels)
                          for file, at in zip(chosen, offsets, strict=True)])  # fmt: skip
    front = (scenes.masks != 0).any(1, keepdim=True)
    return scenes.with_images(torch.where(front, scenes.images, behind.to(scenes.images.device)))


@lru_cache(maxsize=8)
def _files(folder: str) -> tuple[Path, ...]:
    found = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in _ENDINGS and path.is_file())
    if not found:
        raise UsageError(f"background: {folder} has no pictures.", f"Give a folder with files {', '.join(_ENDINGS)}.")
    return tuple(found)


@lru_cache(maxsize=_KEPT)
def _picture(path: Path, size: tuple[int, int]) -> Tensor:
    """uint8 ``(3, h, w)``, just large enough to cover the size."""
    try:
        with Image.open(path) as opened:
            upright = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UsageError(f"background: {path} cannot be read: {error}", "Remove it from the folder.") from None
    ratio = max(size[0] / upright.height, size[1] / upright.width)
    shape = (max(size[1], round(upright.width * ratio)), max(size[0], round(upright.height * ratio)))
    return torch.from_numpy(np.array(upright.resize(shape, Image.Resampling.BILINEAR))).permute(2, 0, 1)


def _part(picture: Tensor, size: tuple[int, int], at: list[float], channels: int) -> Tensor:
    """float32 ``(C, H, W)`` of a picture, at a place between 0 and 1 down and across."""
    top, left = (round(place * (have - want)) for place, have, want in zip(at, picture.shape[1:], size, strict=True))
    part = picture[:, top : top + size[0], left : left + size[1]].float() / 255
    return part if channels == 3 else luma(part[None])[0]
