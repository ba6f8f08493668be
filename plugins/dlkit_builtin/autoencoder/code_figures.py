"""Figures of what is asked of a code besides reconstruction, beside PCA's and those of the network before training."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.linalg import subspace_angles
from torch import Tensor

from dlkit.baselines import PCABaseline, affordable
from dlkit.baselines.quality import mean_and_interval
from dlkit.metrics import Metric
from dlkit_builtin.autoencoder.constraints import signs, squared_jacobian
from dlkit_builtin.autoencoder.networks import DenseDecoder

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.runtime import Runtime
    from dlkit_builtin.autoencoder.evaluation import Sample
    from dlkit_builtin.autoencoder.technique import Autoencoder

PCA_IMAGES = 60_000
"""At most so many training images fit the PCA: the published training sets' size, so that the subspaces are alike."""
UNTRAINED = "before training"
ACTIVE = 0.1
"""A unit is active where it is above this share of its largest absolute activation."""


def code_figures(technique: Autoencoder, held_out: Sample, data: ImageData, runtime: Runtime) -> Iterator[Metric]:
    """Those of the constraints that are on; nothing for a plain autoencoder."""
    options = technique.options
    if not (options.sparse or options.contractive or technique.linear) or not len(data.train):
        return
    before, split = untrained(technique, runtime), data.held_out.name
    normalize = before.network.normalize
    some = torch.arange(min(len(data.train), affordable(PCA_IMAGES, technique.spec.shape)))
    pca = PCABaseline(normalize(data.train.pixels(some)), technique.code)
    inputs = normalize(held_out.images)
    with torch.no_grad():
        first = before.encode(held_out.images)
    rival = torch.from_numpy(pca.encode(inputs))
    codes = {"": held_out.codes, f"PCA, {pca.components} components": rival, UNTRAINED: first}
    if options.sparse is not None:
        yield from _sparsity(codes, str(options.sparse), split)
    if options.contractive is not None:
        jacobians = {"": jacobian(technique, inputs, runtime), UNTRAINED: jacobian(before, inputs, runtime)}
        yield from _contraction(codes, jacobians, split)
    if technique.linear:
        yield from _like_pca(technique, before, pca, inputs, split)


def untrained(technique: Autoencoder, runtime: Runtime) -> Autoencoder:
    """The network as training found it, on the CPU: its weights depend on the seed and the options only."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(runtime.seed)
        return type(technique)(technique.options, technique.spec)


def active_share(codes: Tensor) -> Tensor:
    """Share of the units that are active, for each of ``(N, Z)`` codes: ``(N,)``."""
    return (codes.abs() > ACTIVE * codes.abs().amax(0)).float().mean(1)


def jacobian(technique: Autoencoder, inputs: Tensor, runtime: Runtime) -> Tensor:
    """‖∂f/∂x‖²_F of images ``(N, C, H, W)``, normalised, as training computes it: ``(N,)`` on the CPU."""
    encoder, device = technique.network.encoder.eval(), next(technique.network.parameters()).device
    generator = runtime.generator("evaluation probes", device="cpu")
    parts = []
    for chunk in torch.split(inputs, 500):
        probes = signs(len(chunk), technique.code, generator).to(device) if technique.probing else None
        images = chunk.to(device).requires_grad_(technique.probing)
        squares = squared_jacobian(encoder, technique.options.unit, encoder(images)[0], images, probes)
        parts.append(squares.detach().cpu())
    return torch.cat(parts)


def principal_angle(bases: Tensor, others: Tensor) -> float:
    """The largest angle, in degrees, between the spaces that the columns of two matrices ``(D, k)`` span."""
    return math.degrees(subspace_angles(bases.double().numpy(), others.double().numpy())[0])


def _sparsity(codes: dict[str, Tensor], asked: str, split: str) -> Iterator[Metric]:
    means = {name: code.abs().mean(1) for name, code in codes.items() if not name.startswith("PCA")}
    yield _figure("mean_activation", "mean activation of code units", means, split, f"absolute; asked for: {asked}")
    shares = {name: active_share(code) for name, code in codes.items()}
    note = f"above {ACTIVE:g} of the unit's largest"
    yield _figure("active_units", "active code units per image", shares, split, note)


def _contraction(codes: dict[str, Tensor], jacobians: dict[str, Tensor], split: str) -> Iterator[Metric]:
    note = "of the code by the input, squared; mean over images"
    yield _figure("jacobian_norm", "norm of the derivative", jacobians, split, note)
    spread = {name: code.var(0).sum() for name, code in codes.items()}
    relative = {
        name: jacobians[name] / spread[name] if name in jacobians else _orthonormal(code) / spread[name]
        for name, code in codes.items()
    }
    yield _figure("relative_jacobian", "the same over the code's variance", relative, split, "summed over units")


def _orthonormal(code: Tensor) -> Tensor:
    """‖∂f/∂x‖²_F of a projection onto as many orthonormal axes as there are units, for each image."""
    return torch.full((len(code),), float(code.shape[1]))


def _like_pca(
    technique: Autoencoder, before: Autoencoder, pca: PCABaseline, inputs: Tensor, split: str
) -> Iterator[Metric]:
    if technique.code <= pca.components:
        value, start = (principal_angle(drawn_by(each), _axes(pca)) for each in (technique, before))
        yield Metric(
            name="pca_angle", label="largest angle to PCA's subspace", value=value, split="train", unit="°",
            better="lower", baselines={UNTRAINED: start}, note=f"of {technique.code} principal angles",
        )  # fmt: skip
    network = technique.network
    device = next(network.parameters()).device
    with torch.no_grad():
        outputs = torch.cat([network.through(part.to(device))[0].cpu() for part in torch.split(inputs, 500)])
    error, least = ((made - inputs).double().square().sum() for made in (outputs, pca.reconstruct(inputs)))
    yield Metric(
        name="pca_excess", label="squared error above PCA's", value=100 * float(error / least - 1), split=split,
        unit="%", better="lower", baselines={f"PCA, {pca.components} components": 0.0}, note="outputs not clipped",
    )  # fmt: skip


def drawn_by(technique: Autoencoder) -> Tensor:
    """What the units of a linear decoder draw: its weights ``(n, Z)``, on the CPU."""
    decoder = technique.network.decoder
    assert isinstance(decoder, DenseDecoder)  # noqa: S101 - it is linear
    with torch.no_grad():
        zero, units = torch.zeros(1, technique.code), torch.eye(technique.code)
        device = decoder.output.bias.device
        images = decoder(torch.cat([zero, units]).to(device), []).flatten(1).cpu()
    drawn: Tensor = (images[1:] - images[0]).T
    return drawn


def _axes(pca: PCABaseline) -> Tensor:
    """The principal axes as columns, ``(n, k)``."""
    images = pca.decode(np.eye(pca.components + 1, pca.components, k=-1, dtype=np.float32)).flatten(1)
    return (images[1:] - images[0]).T


def _figure(name: str, label: str, values: dict[str, Tensor], split: str, note: str) -> Metric:
    mean, interval = mean_and_interval(values[""].double().numpy())
    baselines = {other: float(value.double().mean()) for other, value in values.items() if other}
    return Metric(
        name=name,
        label=label,
        value=mean,
        split=split,
        better="lower",
        interval=interval,
        baselines=baselines,
        note=note,
    )
