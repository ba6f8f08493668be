"""Training is the plain PyTorch loop, to the bit; penalties and constraints hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dlkit_builtin.autoencoder.corruption import corrupt
from dlkit_builtin.autoencoder.noise import Noise
from dlkit_builtin.autoencoder.options import AutoencoderOptions
from dlkit_builtin.autoencoder.technique import Autoencoder
from torch import nn
from torch.nn import functional as F

from dlkit.data import ImageData, load_data
from dlkit.errors import DataError
from dlkit.losses import binary_cross_entropy
from dlkit.options import DataOptions, RuntimeOptions
from dlkit.options.values import Duration
from dlkit.run import Run
from dlkit.runtime import Runtime

NOISE = Noise.parse("mask:0.2+gaussian:0.3")


@pytest.fixture(scope="module")
def data(shapes_npz: Path) -> ImageData:
    return load_data(DataOptions(data=str(shapes_npz)))


def runtime(seed: int = 3) -> Runtime:
    return Runtime(RuntimeOptions(device="cpu", seed=seed, threads=1))


def options(**given: Any) -> AutoencoderOptions:
    defaults: dict[str, Any] = {"layers": (12,), "code": 4, "epochs": 3, "batch_size": 20, "denoise": NOISE}
    return AutoencoderOptions(**defaults | {"checkpoint_every": Duration(0.0)} | given)


def new_run(path: Path) -> Run:
    path.mkdir(exist_ok=True)
    return Run(path)


def dense() -> nn.Sequential:
    """64-12-4-12-64 in the order in which the technique draws its weights."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 4), nn.Linear(4, 12), nn.ReLU(), nn.Linear(12, 64)
    )


@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_training_equals_a_plain_loop(tmp_path: Path, data: ImageData, loss: Any) -> None:
    chosen = options(loss=loss, l1=1e-4, max_norm=1.5, weight_decay=1e-3)
    ours = runtime()
    torch.manual_seed(3)
    technique = Autoencoder(chosen, data.spec)
    run = new_run(tmp_path)
    technique.train(data, ours, run)

    plain = dense()
    layers = [layer for layer in plain if isinstance(layer, nn.Linear)]
    torch.manual_seed(3)
    start = Autoencoder(chosen, data.spec).network
    for layer, theirs in zip(layers, [m for m in start.modules() if isinstance(m, nn.Linear)], strict=True):
        layer.load_state_dict(theirs.state_dict())
    adam = torch.optim.Adam(plain.parameters(), lr=1e-3, weight_decay=1e-3, fused=True)

    def reconstruction_loss(noisy: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        output = plain(noisy)
        if loss == "bce":
            return binary_cross_entropy(output.view_as(clean), clean).mean()
        return F.mse_loss(torch.sigmoid(output).view_as(clean), clean)

    pixels, held_out = data.train.pixels(), data.val.pixels()
    best, rows = (float("inf"), None), []
    for epoch in range(3):
        noise = torch.Generator().manual_seed(ours.derive("training", "train", epoch))
        order = torch.randperm(64, generator=ours.generator("permutation", "train", epoch))
        total = 0.0
        for indices in order.split(20):
            clean = pixels[indices]
            value = reconstruction_loss(corrupt(clean, NOISE, noise), clean)
            value = value + 1e-4 * torch.stack([layer.weight.abs().sum() for layer in layers]).sum()
            adam.zero_grad()
            value.backward()
            adam.step()
            with torch.no_grad():
                for layer in layers:
                    layer.weight.copy_(torch.renorm(layer.weight, 2, 0, 1.5))
            total += value.item() * len(indices)
        with torch.no_grad():
            noisy = corrupt(held_out, NOISE, ours.generator("validation noise"))
            validation = reconstruction_loss(noisy, held_out).double().item()
        rows.append((total / 64, validation))
        if validation < best[0]:
            best = (validation, {name: tensor.clone() for name, tensor in plain.state_dict().items()})

    assert [(row["train_loss"], row["val_loss"]) for row in run.metrics()] == rows
    assert best[1] is not None
    for mine, theirs in zip(technique.network.parameters(), best[1].values(), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("net", ["dense", "conv"])
def test_max_norm_holds_after_training(tmp_path: Path, data: ImageData, net: Any) -> None:
    technique = Autoencoder(options(net=net, layers=(6, 5), max_norm=0.7, epochs=2, lr=0.05), data.spec)
    technique.train(data, runtime(), new_run(tmp_path))
    norms = []
    for layer in technique.network.modules():
        if isinstance(layer, nn.ConvTranspose2d):
            norms.append(layer.weight.transpose(0, 1).flatten(1).norm(dim=1))
        elif isinstance(layer, nn.Linear | nn.Conv2d):
            norms.append(layer.weight.flatten(1).norm(dim=1))
    longest = torch.cat(norms)
    assert longest.max() <= 0.7 + 1e-6
    assert (longest > 0.69).any()


def test_l1_makes_weights_smaller(tmp_path: Path, data: ImageData) -> None:
    sizes = []
    for name, l1 in (("without", 0.0), ("with", 0.01)):
        torch.manual_seed(0)
        technique = Autoencoder(options(l1=l1, epochs=8, lr=0.01), data.spec)
        technique.train(data, runtime(), new_run(tmp_path / name))
        sizes.append(sum(p.abs().sum().item() for p in technique.network.parameters() if p.ndim == 2))
    assert sizes[1] < 0.7 * sizes[0]


@pytest.mark.parametrize(
    "given",
    [
        {"net": "conv", "layers": (6, 5), "batch_norm": True, "upsample": "unpool", "lr": 0.01},
        {"net": "conv", "layers": (6, 5), "upsample": "nearest", "dropout": 0.1, "init": "xavier", "lr": 0.01},
        {"batch_norm": True, "batch_size": 21, "activation": "elu", "lr": 0.01},  # 64 = 3 · 21 + 1: a lone last image
        {"denoise": None, "optimizer": "sgd", "lr": 1.0, "init": "xavier"},
    ],
    ids=str,
)
def test_the_loss_goes_down(tmp_path: Path, data: ImageData, given: dict[str, Any]) -> None:
    torch.manual_seed(0)
    run = new_run(tmp_path)
    Autoencoder(options(epochs=10, **given), data.spec).train(data, runtime(), run)
    losses = [row["train_loss"] for row in run.metrics()]
    assert losses[-1] < 0.8 * losses[0]


def test_the_corruption_is_fresh_in_training_and_the_same_in_validation(tmp_path: Path, data: ImageData) -> None:
    seen: dict[bool, list[torch.Tensor]] = {True: [], False: []}
    technique = Autoencoder(options(epochs=2, batch_size=64), data.spec)
    technique.network.encoder.register_forward_pre_hook(
        lambda module, inputs: seen[module.training].append(inputs[0].clone())
    )
    technique.train(data, runtime(), new_run(tmp_path))
    first, second = (batch.sum((1, 2, 3)).sort().values for batch in seen[True])
    assert not torch.isclose(first, second).any()
    assert torch.equal(*seen[False])


def test_batch_norm_needs_several_training_images(tmp_path: Path) -> None:
    images = np.zeros((1, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "one.npz", images=images, split=np.array(["train"]))
    one = load_data(DataOptions(data=str(tmp_path / "one.npz")))
    technique = Autoencoder(options(batch_norm=True), one.spec)
    with pytest.raises(DataError, match="one training image"):
        technique.train(one, runtime(), new_run(tmp_path / "run"))
