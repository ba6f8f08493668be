"""Small autoencoders and what to train them on, for the tests of this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from dlkit_builtin.autoencoder.options import AutoencoderOptions
from dlkit_builtin.autoencoder.technique import Autoencoder
from torch import Tensor

from dlkit.data.spec import DataSpec, Normalization
from dlkit.options import RuntimeOptions
from dlkit.run import Run
from dlkit.runtime import Runtime


def spec(shape: tuple[int, int, int] = (1, 8, 8), normalization: Normalization | None = None) -> DataSpec:
    channels, height, width = shape
    return DataSpec(
        source="x", name="x", channels=channels, height=height, width=width,
        normalization=normalization or Normalization(),
    )  # fmt: skip


def small(shape: tuple[int, int, int] = (1, 8, 8), **given: Any) -> Autoencoder:
    """64-7-5-7-64, or with two conv stages; weights and biases large enough to matter."""
    torch.manual_seed(0)
    technique = Autoencoder(AutoencoderOptions(**{"layers": (7, 6), "code": 5, **given}), spec(shape))
    for parameter in technique.network.parameters():
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, 0, 0.3)
    return technique


def pixels(count: int = 4, shape: tuple[int, int, int] = (1, 8, 8)) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(1))


def options(**given: Any) -> AutoencoderOptions:
    return AutoencoderOptions(**{"layers": (12, 8), "code": 4, "batch_size": 16, **given})


def runtime(seed: int = 3) -> Runtime:
    return Runtime(RuntimeOptions(device="cpu", seed=seed, threads=1))


def new_run(path: Path) -> Run:
    path.mkdir(exist_ok=True, parents=True)
    return Run(path)
