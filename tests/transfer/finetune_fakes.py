"""Small data, networks and runs for tests of fine-tuning."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from dlkit_builtin.transfer.finetune_options import FinetuneOptions
from dlkit_builtin.transfer.network import Network
from torch import Tensor, nn

from dlkit.backbones import Backbone, BackboneOptions, Tap, build_backbone
from dlkit.data import DataSpec, ImageData, Normalization, Split
from dlkit.data.data import Resident
from dlkit.options import RuntimeOptions
from dlkit.options.values import Duration, Schedule
from dlkit.runtime import Runtime
from dlkit.supervised.objective import objective

SHAPE = (3, 32, 32)


class FakeRun:
    def __init__(self, path: Path) -> None:
        self.path, self.rows = path, []

    def record(self, row: Mapping[str, Any]) -> None:
        self.rows.append(json.loads(json.dumps(row)))

    def metrics_position(self) -> int:
        return 0

    def cut_metrics(self, position: int) -> None:
        pass

    def checkpoint_path(self, phase: str, which: str) -> Path:
        path = self.path / phase / f"{which}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def split(name: str, count: int, seed: int, shape: tuple[int, ...] = SHAPE) -> Split:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    pixels = torch.randint(0, 128, (count, *shape), generator=generator, dtype=torch.uint8)
    return Split(name, Resident(pixels + (60 * labels).to(torch.uint8).view(-1, 1, 1, 1)), labels, None)


def data(train: int = 22, val: int = 0) -> ImageData:
    spec = DataSpec(
        name="fake", source="fake", channels=3, height=32, width=32, classes=("a", "b", "c"), pixel_type="uint8",
        counts={"train": train, "val": val, "test": 0}, normalization=Normalization(), fingerprint="0" * 64,
    )  # fmt: skip
    return ImageData(spec=spec, train=split("train", train, 1), val=split("val", val, 2), test=split("test", 0, 3))


def options(**given: Any) -> FinetuneOptions:
    values = {"epochs": 2, "batch_size": 8, "lr": 0.05, "optimizer": "sgd", "checkpoint_every": Duration(1e9),
              "schedule": Schedule("constant")}  # fmt: skip
    return FinetuneOptions(**(values | given))


def network(name: str = "resnet10t", taps: tuple[Tap, ...] = (Tap("top"),), seed: int = 0, **given: Any) -> Network:
    torch.manual_seed(seed)
    arguments = tuple(f"{key}={value}" for key, value in given.items())
    return headed(build_backbone(BackboneOptions(backbone=name, random_init=True, backbone_arg=arguments)), taps)


def headed(backbone: Backbone, taps: tuple[Tap, ...] = (Tap("top"),)) -> Network:
    size = sum(backbone.stage(tap.stage).channels for tap in taps)
    return Network(backbone, taps, nn.Linear(size, 3), objective(data().spec, options()))


def runtime(seed: int = 0, display: Any = None) -> Runtime:
    return Runtime(RuntimeOptions(device="cpu", threads=1, seed=seed, precision="fp32"), display)


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}
