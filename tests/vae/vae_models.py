"""Small models, and one whose likelihood is known in closed form."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from dlkit_builtin.vae.options import VaeOptions
from dlkit_builtin.vae.technique import Vae
from torch import Tensor
from torch.distributions import MultivariateNormal

from dlkit.data.spec import DataSpec
from dlkit.options import RuntimeOptions
from dlkit.options.values import Duration
from dlkit.run import Run
from dlkit.runtime import Runtime


def options(**given: Any) -> VaeOptions:
    defaults: dict[str, Any] = {"layers": (12,), "code": 4, "epochs": 3, "batch_size": 20, "nll_samples": 10}
    return VaeOptions(**defaults | {"checkpoint_every": Duration(0.0)} | given)


def runtime(seed: int = 3) -> Runtime:
    return Runtime(RuntimeOptions(device="cpu", seed=seed, threads=1))


def new_run(path: Path) -> Run:
    path.mkdir(exist_ok=True)
    return Run(path)


def spec(shape: tuple[int, int, int] = (1, 8, 8), classes: tuple[str, ...] = ()) -> DataSpec:
    channels, height, width = shape
    return DataSpec(source="x", name="x", channels=channels, height=height, width=width, classes=classes)


def linear_gaussian(samples: int, loose: float = 2.0) -> tuple[Vae, MultivariateNormal]:
    """x = W z + b + σ ε of six pixels and two code units, and its marginal N(b, W Wᵀ + σ² I) (Bishop 2006, 12.35).

    The encoder has the exact posterior means, and its standard deviations are too large by a factor ``loose``.
    """
    variance = 0.3
    technique = Vae(
        options(layers=(), code=2, likelihood="gaussian", variance=variance, nll_samples=samples), spec((1, 2, 3))
    )
    generator = torch.Generator().manual_seed(0)
    columns = torch.linalg.qr(torch.randn(6, 2, generator=generator))[0]  # orthogonal: the posterior is diagonal
    weight, bias = columns * torch.tensor([1.5, 0.7]), torch.rand(6, generator=generator)
    precision = weight.T @ weight / variance + torch.eye(2)
    encode = precision.inverse() @ weight.T / variance
    log_variance = -precision.diagonal().log() + 2 * math.log(loose)
    network: Any = technique.network
    with torch.no_grad():
        network.decoder.output.weight.copy_(weight)
        network.decoder.output.bias.copy_(bias)
        network.encoder.statistics.weight.copy_(torch.cat((encode, torch.zeros(2, 6))))
        network.encoder.statistics.bias.copy_(torch.cat((-encode @ bias, log_variance)))
    return technique, MultivariateNormal(bias, weight @ weight.T + variance * torch.eye(6))


def digits(count: int, side: int = 8) -> Tensor:
    """Pixels ``(count, 1, side, side)`` at random."""
    return torch.rand(count, 1, side, side, generator=torch.Generator().manual_seed(5))
