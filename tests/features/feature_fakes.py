"""Backbones that are tiny, splits of random images, and a display that remembers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dlkit.backbones import Backbone, BackboneOptions, Tap, build_backbone
from dlkit.backbones.backbone import TOP, Origin, Stage
from dlkit.data.data import Resident, Split
from dlkit.data.spec import ImageForm
from dlkit.display import Display
from dlkit.options import RuntimeOptions
from dlkit.runtime import Runtime


class Remembering(Display):
    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.told: list[str] = []
        self.warned: list[str] = []

    def info(self, text: str) -> None:
        self.told.append(text)

    def warn(self, text: str) -> None:
        self.warned.append(text)


def make_runtime(**options: Any) -> tuple[Runtime, Remembering]:
    display = Remembering()
    return Runtime(RuntimeOptions(device="cpu", threads=1, **options), display), display


def make_split(count: int, side: int = 32, seed: int = 0) -> Split:
    raw = torch.randint(
        0, 256, (count, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )
    return split_of(raw)


def split_of(raw: Tensor) -> Split:
    digests = [np.frombuffer(hashlib.sha256(image.numpy().tobytes()).digest(), np.uint8) for image in raw]
    return Split("train", Resident(raw), None, None, np.stack(digests))


def named(name: str, seed: int = 0) -> Backbone:
    """A timm network whose batch norms do something."""
    torch.manual_seed(seed)
    backbone = build_backbone(BackboneOptions(backbone=name, random_init=True))
    shake(backbone)
    return backbone


def shake(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d) and part.running_mean is not None and part.running_var is not None:
            part.running_mean.normal_(0, 0.3)
            part.running_var.uniform_(0.5, 2)
            with torch.no_grad():
                part.weight.uniform_(0.5, 1.5)
                part.bias.normal_(0, 0.3)


def wrapped(network: nn.Module, stages: Sequence[tuple[str, int]], size: int) -> Backbone:
    """Any network as a backbone, tapped at paths with so many channels."""
    return Backbone(
        network.eval(),
        [*(Stage(path, path, channels) for path, channels in stages), Stage(TOP, "", size)],
        form=ImageForm(height=32, width=32),
        mean=[0.4, 0.5, 0.6],
        std=[0.2, 0.3, 0.2],
        origin=Origin(reference="fake"),
    ).eval()


def all_taps(backbone: Backbone) -> list[Tap]:
    return [Tap(stage.name) for stage in backbone.stages]


def plain_loop(backbone: Backbone, split: Split, taps: Sequence[Tap]) -> dict[Tap, np.ndarray[Any, Any]]:
    """What extraction must equal."""
    with torch.no_grad():
        found = backbone.features(split.tensor.float() / 255, taps)
    return {tap: values.numpy() for tap, values in zip(taps, found, strict=True)}


class Counting(nn.Module):
    """A small network that counts the images it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, bias=False)
        self.norm = nn.BatchNorm2d(5)
        self._seen: list[int] = []  # with _, or it would count as a setting of the network

    def forward(self, x: Tensor) -> Tensor:
        self._seen.append(len(x))
        return self.norm(self.conv(x)).relu().mean((2, 3))

    def __deepcopy__(self, memo: dict[int, Any]) -> Counting:
        copy = Counting()
        copy.load_state_dict(self.state_dict())
        copy._seen = self._seen  # copies count together
        return copy
