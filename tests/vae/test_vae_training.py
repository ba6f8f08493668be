"""Training is the plain loop, to the bit; it resumes exactly, also in the middle of the warm-up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dlkit_builtin.vae.technique import NOISE_RATE, Vae
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal, kl_divergence
from vae_models import new_run, options, runtime

from dlkit.data import ImageData, load_data
from dlkit.errors import DataError, UsageError
from dlkit.options import DataOptions
from dlkit.runtime import Runtime


@pytest.fixture(scope="module")
def data(shapes_npz: Path) -> ImageData:
    return load_data(DataOptions(data=str(shapes_npz)))


def train(path: Path, data: ImageData, seed: int = 3, **given: Any) -> tuple[Vae, list[dict[str, Any]]]:
    ours = runtime(seed)
    technique, run = Vae(options(**given), data.spec), new_run(path)
    technique.train(data, ours, run)
    return technique, list(run.metrics())


def plain() -> tuple[nn.Module, nn.Module]:
    """64-12-(4, 4) and 4-12-64."""
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 8))
    return encoder, nn.Sequential(nn.Linear(4, 12), nn.ReLU(), nn.Linear(12, 64))


def test_training_equals_a_plain_loop(tmp_path: Path, data: ImageData) -> None:
    """Warm-up over two epochs of four updates, β = 2, dynamic binarisation; losses by torch.distributions."""
    given: dict[str, Any] = {"binarize": "dynamic", "beta": 2.0, "kl_warmup": 2.0, "lr": 1e-3}
    technique, rows = train(tmp_path, data, **given)

    ours = runtime()
    start = Vae(options(**given), data.spec).network
    encoder, decoder = plain()
    linear = [m for net in (encoder, decoder) for m in net.modules() if isinstance(m, nn.Linear)]
    for layer, theirs in zip(linear, [m for m in start.modules() if isinstance(m, nn.Linear)], strict=True):
        layer.load_state_dict(theirs.state_dict())
    with torch.no_grad():  # the decoder begins at each pixel's mean
        linear[-1].bias.copy_(data.train.pixels().mean(0).flatten().clamp(1e-3, 1 - 1e-3).logit())
    adam = torch.optim.Adam([p for layer in linear for p in layer.parameters()], lr=1e-3, fused=True)

    def parts(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        binary = (torch.rand(images.shape, generator=generator) < images).float()
        noise = torch.randn(len(images), 4, generator=generator)
        mean, log_variance = encoder(binary).chunk(2, 1)
        posterior = Normal(mean, (0.5 * log_variance).exp())
        logits = decoder(mean + posterior.stddev * noise).view_as(binary)
        error = -Bernoulli(logits=logits).log_prob(binary).sum((1, 2, 3)).mean()
        return error, kl_divergence(posterior, Normal(0.0, 1.0)).sum(1).mean()

    pixels, held_out, update, found = data.train.pixels(), data.val.pixels(), 0, []
    for epoch in range(3):
        noise = torch.Generator().manual_seed(ours.derive("training", "train", epoch))
        order = torch.randperm(64, generator=ours.generator("permutation", "train", epoch))
        sums = np.zeros(3)
        for indices in order.split(20):
            error, kl = parts(pixels[indices], noise)
            loss = error + 2 * min(1, update / 8) * kl
            adam.zero_grad()
            loss.backward()
            adam.step()
            update += 1
            sums += len(indices) * np.array([loss.item(), error.item(), kl.item()])
        with torch.no_grad():
            error, kl = parts(held_out, ours.generator("validation noise"))
        found.append([*sums / 64, float(error + 2 * kl)])
    names = ("train_loss", "train_reconstruction", "train_kl", "val_loss")
    np.testing.assert_allclose([[row[name] for name in names] for row in rows], found, rtol=1e-4)
    best = min(range(3), key=lambda epoch: found[epoch][-1])
    assert best == 2, "the weights compared below are those of the last epoch"
    mine = list(technique.network.parameters())
    for ours_, theirs in zip(mine, [p for layer in linear for p in layer.parameters()], strict=True):
        torch.testing.assert_close(ours_, theirs, rtol=1e-3, atol=1e-4)


class StoppedError(Exception):
    """The process ends here."""


@pytest.mark.parametrize("stop", [2, 5, 9])
@pytest.mark.parametrize(
    "given",
    [
        {"binarize": "dynamic", "kl_warmup": 2.5},
        {"likelihood": "gaussian", "conditional": True, "free_bits": 0.2, "net": "conv", "layers": (4, 3)},
    ],
    ids=["warmup", "conditional"],
)
def test_resuming_gives_the_same_bits(
    given: dict[str, Any], stop: int, tmp_path: Path, data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, rows = train(tmp_path / "whole", data, **given)
    updates, real = 0, Runtime.update

    def counted(self: Runtime, *args: Any) -> Any:
        nonlocal updates
        updates += 1
        if updates > stop:
            raise StoppedError
        return real(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Runtime, "update", counted)
        with pytest.raises(StoppedError):
            train(tmp_path / "parts", data, **given)
    resumed, again = train(tmp_path / "parts", data, **given)
    assert [{k: v for k, v in row.items() if k not in TIMES} for row in again] == [
        {k: v for k, v in row.items() if k not in TIMES} for row in rows
    ]
    for ours, theirs in zip(whole.state().tensors.items(), resumed.state().tensors.items(), strict=True):
        assert ours[0] == theirs[0]
        assert torch.equal(ours[1], theirs[1])


TIMES = ("seconds", "images_per_second")


@pytest.mark.parametrize("given", [{"binarize": "dynamic", "kl_warmup": 1.5}, {"likelihood": "gaussian", "conditional": True}], ids=str)  # noqa: E501  # fmt: skip
def test_micro_batches_give_the_same_update(given: dict[str, Any], tmp_path: Path, data: ImageData) -> None:
    (one, rows), (several, others) = (
        train(tmp_path / str(parts), data, accumulate=parts, optimizer="sgd", lr=1e-3, momentum=0.0, **given)
        for parts in (1, 3)
    )
    for ours, theirs in zip(one.network.parameters(), several.network.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    for name in ("train_loss", "train_kl", "val_loss"):
        np.testing.assert_allclose([row[name] for row in rows], [row[name] for row in others], rtol=1e-5)


def test_free_bits_depend_on_the_batch_and_refuse_micro_batches(tmp_path: Path, data: ImageData) -> None:
    with pytest.raises(UsageError, match="--accumulate 2"):
        train(tmp_path, data, free_bits=0.5, accumulate=2)


def test_without_the_divergence_codes_become_certain(tmp_path: Path, data: ImageData) -> None:
    """β = 0 leaves the reconstruction: loss and reconstruction are one, and the divergence grows."""
    _, free = train(tmp_path / "free", data, beta=0.0, epochs=15, lr=0.01)
    _, bound = train(tmp_path / "bound", data, beta=1.0, epochs=15, lr=0.01)
    assert all(row["train_loss"] == row["train_reconstruction"] for row in free)
    assert free[-1]["train_kl"] > 2 * bound[-1]["train_kl"]
    assert free[-1]["train_reconstruction"] < bound[-1]["train_reconstruction"]


def test_free_bits_keep_units_from_collapsing(tmp_path: Path, data: ImageData) -> None:
    _, held = train(tmp_path, data, free_bits=2.0, beta=30.0, epochs=15, lr=0.01)
    _, collapsed = train(tmp_path / "without", data, beta=30.0, epochs=15, lr=0.01)
    assert collapsed[-1]["val_kl"] < 0.01
    assert held[-1]["val_kl"] > 1


def test_a_learned_variance_is_the_error(tmp_path: Path, data: ImageData) -> None:
    """At its optimum σ² is the mean squared error of reconstructions from drawn codes (Rybkin et al. 2021, eq. 4)."""
    technique, rows = train(tmp_path, data, likelihood="gaussian", epochs=60, lr=5e-3, layers=(32,))
    variance = float(technique.network.log_noise.detach().exp())
    ours = runtime()
    images = data.train.pixels()
    with torch.no_grad():
        activations, _, _ = technique.network.eval()(images, technique.noise(len(images), ours.generator("x")), None)
    assert variance == pytest.approx(float((activations - images).square().mean()), rel=0.25)
    assert variance < 0.5 * float(images.var())
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    assert NOISE_RATE > 1


def test_images_without_a_class_cannot_condition(shapes_npz: Path, tmp_path: Path) -> None:
    with np.load(shapes_npz) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["labels"] = np.where(np.arange(96) < 7, -1, arrays["labels"])
    np.savez(tmp_path / "some.npz", **arrays)
    some = load_data(DataOptions(data=str(tmp_path / "some.npz")))
    with pytest.raises(DataError, match="7 of 64 training images have no class"):
        train(tmp_path / "run", some, conditional=True)


def test_batch_norm_needs_several_training_images(tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", images=np.zeros((1, 8, 8), dtype=np.uint8), split=np.array(["train"]))
    one = load_data(DataOptions(data=str(tmp_path / "one.npz")))
    with pytest.raises(DataError, match="one training image"):
        train(tmp_path / "run", one, batch_norm=True)
