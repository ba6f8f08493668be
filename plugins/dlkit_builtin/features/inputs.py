"""From pixels to the vector that the estimator sees; the same module in training, prediction and export."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from dlkit.backbones import Backbone, Tap, build_backbone, fetched_form
from dlkit.backbones import image_form as backbone_form
from dlkit.data.spec import DataSpec, ImageForm
from dlkit.errors import UsageError
from dlkit.features import extract, side_by_side
from dlkit.options.suggest import did_you_mean
from dlkit_builtin.features.options import FeaturesOptions, addressed

if TYPE_CHECKING:
    from dlkit.data import Split
    from dlkit.runtime import Runtime

_BATCH = 64


def image_form(options: FeaturesOptions) -> ImageForm:
    """Images are read as the backbone with the largest ones wants them; the first of these."""
    forms = [backbone_form(each) for each in options.backbones()]
    return max(forms, key=lambda form: form.height * form.width)


def ready_form(options: FeaturesOptions) -> ImageForm:
    """:func:`image_form` once all weights are there, so that a training fails before it reads its images, not after.

    Raises:
        UsageError, DataError: as :func:`dlkit.backbones.fetched_form`.
    """
    for each in options.backbones():
        fetched_form(each)
    return image_form(options)


def build_backbones(options: FeaturesOptions, spec: DataSpec) -> list[Backbone]:
    """The backbones with their weights, for their own size of images, or for the user's where that is another one.

    Raises:
        UsageError, DataError: as :func:`dlkit.backbones.build_backbone`.
    """
    size = (spec.height, spec.width)
    own = [(form.height, form.width) for form in map(backbone_form, options.backbones())]
    return [build_backbone(each, None if size in own else size) for each in options.backbones()]


class Resize(nn.Module):
    """Bilinear resizing with antialiasing, as a product with two fixed matrices: the same in every export format.

    Args:
        size: height and width of what comes.
        wanted: height and width of what is given.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, size: tuple[int, int], wanted: tuple[int, int]) -> None:
        super().__init__()
        self.size = (size, wanted)
        self.register_buffer("rows", _weights(size[0], wanted[0]))
        self.register_buffer("columns", _weights(size[1], wanted[1]))

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.size[0]} to {self.size[1]}"

    def forward(self, images: Tensor) -> Tensor:
        """``(B, C, H, W)`` → ``(B, C, h, w)``."""
        return self.rows @ images @ self.columns.T


def _weights(size: int, wanted: int) -> Tensor:
    """``(wanted, size)``: what each new place takes of each old one; rows sum to one."""
    identity = torch.eye(size)[None, None]  # column j is the image that is 1 in row j
    resized = F.interpolate(identity, (wanted, size), mode="bilinear", antialias=True, align_corners=False)
    return resized[0, 0]


class Inputs(nn.Module):
    """Backbones' features side by side, rectified and normalised as the options say, and raw pixels.

    Args:
        options: the technique's.
        spec: of the images.
        backbones: in the order of the options.

    Raises:
        UsageError: a stage that a backbone has not.
    """

    def __init__(self, options: FeaturesOptions, spec: DataSpec, backbones: Sequence[Backbone]) -> None:
        super().__init__()
        self.options = options
        size = (spec.height, spec.width)
        self.taps = [_taps(options, name, each) for name, each in zip(options.backbone, backbones, strict=True)]
        self.backbones = nn.ModuleList(_fitted(each, size, backbones) for each in backbones)
        raw = (options.raw_size.height, options.raw_size.width)
        self.raw = Resize(size, raw) if options.concat == "raw" else None

    def forward(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → features ``(B, D)``."""
        blocks = [
            self._finished(torch.cat(backbone.features(images, taps), 1))  # type: ignore[operator]
            for backbone, taps in zip(self.backbones, self.taps, strict=True)
        ]
        return torch.cat([*blocks, *self._pixels(images)], 1)

    def _finished(self, block: Tensor) -> Tensor:
        if self.options.relu:
            block = block.relu()
        return F.normalize(block, dim=1) if self.options.l2 else block

    def _pixels(self, images: Tensor) -> list[Tensor]:
        if self.raw is None:
            return []
        block = self.raw(images).flatten(1)
        return [F.normalize(block, dim=1) if self.options.l2 else block]

    def extract(self, split: Split, runtime: Runtime) -> NDArray[np.float32]:
        """The same for all images of a split, ``(N, D)``; the backbones' part from the cache where it is."""
        blocks = []
        for backbone, taps in zip(self.backbones, self.taps, strict=True):
            assert isinstance(backbone, Backbone)  # noqa: S101 - a ModuleList forgets what it holds
            found = extract(backbone, split, taps, runtime, self.options)
            blocks.append(self._finished(torch.from_numpy(side_by_side(found, taps))))
        if self.raw is not None:
            with torch.inference_mode():
                blocks.append(
                    torch.cat([self._pixels(batch.images)[0].cpu() for batch in runtime.batches(split, _BATCH)])
                )
        features: NDArray[np.float32] = torch.cat(blocks, 1).numpy()
        return features


def _taps(options: FeaturesOptions, name: str, backbone: Backbone) -> list[Tap]:
    known = [stage.name for stage in backbone.stages]
    wanted = addressed(options.stage, name, options.backbone)
    for stage in wanted:
        if stage not in known:
            hint = did_you_mean(stage, known) or "NAME:STAGE means the stage of one backbone."
            raise UsageError(f"{name} has no stage {stage!r}; it has {', '.join(known)}.", hint)
    if not wanted:
        raise UsageError(f"--stage names no stage of {name}.", f"Add {name}:top.")
    return [Tap(stage, options.pool) for stage in wanted]


def _fitted(backbone: Backbone, size: tuple[int, int], others: Sequence[Backbone]) -> Backbone:
    """The backbone behind a resizing, where the images have the size that suits the largest of several backbones.

    Images of another size are the user's own choice, which all backbones get as they are.
    """
    own = (backbone.form.height, backbone.form.width)
    if own == size or size not in [(each.form.height, each.form.width) for each in others]:
        return backbone
    return _behind(Resize(size, own), backbone)


def _behind(resize: Resize, backbone: Backbone) -> Backbone:
    """The same backbone with a resizing as the first part of its network, so that its fingerprint tells of it.

    It resizes normalised images, which is the same: the weights sum to one.
    """
    for module in backbone.network.modules():
        module._forward_hooks.clear()  # those of the backbone that is taken apart would keep its maps in memory
    moved = [replace(stage, module=f"body.{stage.module}" if stage.module else "") for stage in backbone.stages]
    return Backbone(
        nn.Sequential(OrderedDict(resize=resize, body=backbone.network)),
        moved,
        form=backbone.form,
        mean=backbone.mean.flatten().tolist(),
        std=backbone.std.flatten().tolist(),
        origin=backbone.origin,
        classifier=backbone.classifier,
    ).eval()
