"""Networks of every size, training that moves, exact resume, what is kept and exported."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dlkit_builtin.gan.game import Game
from dlkit_builtin.gan.losses import generator_loss
from dlkit_builtin.gan.networks import build
from dlkit_builtin.gan.options import GanOptions
from dlkit_builtin.gan.recipes import recipe
from dlkit_builtin.gan.snapshots import diversity, keep, kept, moments
from dlkit_builtin.gan.technique import Gan
from gan_runs import whole_and_resumed
from torch import nn

from dlkit import session
from dlkit.cli.main import main
from dlkit.data import ImageData, load_data
from dlkit.options import DataOptions, RuntimeOptions
from dlkit.run.scratch import Scratch
from dlkit.runtime import Runtime

LOSSES = ("minimax", "non-saturating", "hinge", "lsgan", "wgan-gp")
NETS = ("mlp", "dcgan", "resnet")
SHAPES = ((1, 8, 8), (3, 30, 44), (1, 28, 28), (3, 9, 17), (3, 64, 64))


@pytest.mark.parametrize(("net", "shape"), list(itertools.product(NETS, SHAPES)))
def test_networks_of_every_size(net: str, shape: tuple[int, int, int]) -> None:
    generator, discriminator = build(net, shape, latent=5, width=4, spectral=True)
    with torch.no_grad():
        images = generator(torch.randn(3, 5))
        assert images.shape == (3, *shape)
        assert images.abs().max() <= 1
        assert discriminator(images).shape == (3,)
        assert discriminator.body(images).shape == (3, discriminator.output.in_features)


def small(path: Path, shape: tuple[int, int, int] = (1, 8, 8)) -> ImageData:
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (60, shape[1], shape[2], shape[0])).astype(np.uint8)
    np.savez(path, images=images.squeeze(-1) if shape[0] == 1 else images, split=np.repeat(["train", "test"], [40, 20]))
    return load_data(DataOptions(data=str(path)))


def played(options: GanOptions, data: ImageData, path: Path) -> tuple[Gan, dict[str, torch.Tensor], Runtime]:
    """A technique after training, with its weights before."""
    runtime = Runtime(RuntimeOptions(threads=1))
    technique = Gan(options, data.spec)
    before = {name: tensor.clone() for name, tensor in technique.state().tensors.items()}
    run: Any = Scratch(path)
    technique.train(data, runtime, run)
    return technique, before, runtime


PAIRS = [(loss, NETS[(number + shift) % 3]) for number, loss in enumerate(LOSSES) for shift in range(2)]


@pytest.mark.parametrize(("loss", "net"), PAIRS)
def test_both_networks_move_and_stay_finite(loss: str, net: str, tmp_path: Path) -> None:
    data = small(tmp_path / "data.npz", (3, 10, 13) if net == "mlp" else (1, 8, 8))
    options = GanOptions(net=net, loss=loss, epochs=6, batch_size=8, latent=4, width=4, diffaug=("color", "cutout"))  # type: ignore[arg-type]
    technique, before, _ = played(options, data, tmp_path)
    for name, tensor in technique.state().tensors.items():
        assert tensor.isfinite().all()
        if name.endswith("weight"):
            assert not torch.equal(tensor, before[name]), name


def test_the_discriminator_learns_to_tell(tmp_path: Path) -> None:
    data = small(tmp_path / "data.npz")
    data.train.tensor.clamp_(min=128)  # bright images, which a generator does not make at first
    options = GanOptions(net="mlp", epochs=2, batch_size=8, width=16, r1=0.0, lr_discriminator=1e-2, lr=1e-6)
    technique, _, runtime = played(options, data, tmp_path)
    with torch.no_grad():
        genuine = technique.discriminator(2 * data.train.pixels() - 1)
        generated = technique.discriminator(2 * technique.generate(40, runtime.generator("test")) - 1)
    assert (genuine > 0).float().mean() > 0.9
    assert (generated < 0).float().mean() > 0.9


def test_the_generator_is_updated_every_nth_step(tmp_path: Path) -> None:
    data = small(tmp_path / "data.npz")
    runtime = Runtime(RuntimeOptions(threads=1))
    options = GanOptions(net="mlp", n_dis=3, lr=1e-3, width=4, latent=4)
    technique = Gan(options, data.spec)
    game = Game(technique.generator, technique.discriminator, options, technique.recipe, runtime)
    first = technique.generator[0].weight  # type: ignore[index]
    moved = []
    for batch in itertools.islice(runtime.batches(data.train, 5), 7):
        before = first.clone()
        game.step(batch)
        moved.append(not torch.equal(first, before))
    assert moved == [False, False, True, False, False, True, False]


def test_the_average_is_the_one_of_the_formula(tmp_path: Path) -> None:
    data = small(tmp_path / "data.npz")
    runtime = Runtime(RuntimeOptions(threads=1))
    options = GanOptions(net="mlp", lr=1e-2, width=4, latent=4, ema=0.5)
    technique = Gan(options, data.spec)
    game = Game(technique.generator, technique.discriminator, options, technique.recipe, runtime)
    weight = technique.generator[0].weight  # type: ignore[index]
    expected = weight.detach().clone()
    for updates, batch in enumerate(itertools.islice(runtime.batches(data.train, 5), 6), 1):
        game.step(batch)
        decay = min(0.5, (1 + updates) / (10 + updates))
        expected = decay * expected + (1 - decay) * weight.detach()
    torch.testing.assert_close(game.average[0].weight, expected)  # type: ignore[index]


def test_published_settings() -> None:
    assert recipe(GanOptions(loss="wgan-gp"), 64).n_dis == 5
    assert recipe(GanOptions(loss="wgan-gp"), 64).betas == (0.0, 0.9)
    assert recipe(GanOptions(loss="hinge", net="resnet"), 64).spectral_norm
    assert recipe(GanOptions(loss="hinge", n_dis=2, lr=1e-3), 64).n_dis == 2
    assert not recipe(GanOptions(loss="hinge", spectral_norm="no"), 64).spectral_norm
    assert recipe(GanOptions(), 256 * 256).r1 == 10
    assert recipe(GanOptions(), 32 * 32).r1 == 10 / 64
    assert recipe(GanOptions(r1=3.0), 32 * 32).r1 == 3


def test_the_last_epochs_samples_are_kept_where_a_single_image_joins_the_batch_before_it(tmp_path: Path) -> None:
    data = small(tmp_path / "data.npz")
    data = dataclasses.replace(data, train=data.train.subset(torch.arange(25)))
    options = GanOptions(net="mlp", epochs=5, batch_size=8, width=4, latent=4)
    technique, _, _ = played(options, data, tmp_path)
    assert max(technique.over_time) == 5


def test_samples_over_time(tmp_path: Path) -> None:
    assert moments(1) == {1}
    assert max(moments(300)) == 300
    assert len(moments(300)) <= 12
    images = torch.rand(4, 3, 5, 7)
    keep(images, tmp_path / "000003.png")
    assert torch.allclose(kept(tmp_path, 7)[3], images, atol=0.003)
    grey = torch.rand(4, 1, 5, 7)
    keep(grey, tmp_path / "000004.png")
    assert torch.allclose(kept(tmp_path, 7)[4], grey, atol=0.003)
    assert diversity(images[:1].expand(3, -1, -1, -1)) == 0
    alike = torch.stack([images[0], images[1], images[0], images[1]])
    assert diversity(alike) > 0
    assert diversity(alike, torch.tensor([0, 1, 0, 1])) == 0


def test_a_collapse_is_told(tmp_path: Path) -> None:
    from dlkit_builtin.gan.snapshots import Watch

    runtime = Runtime(RuntimeOptions(threads=1))
    told: list[str] = []
    runtime.warn = told.append  # type: ignore[method-assign]
    same, other = (
        (lambda noise: torch.full((len(noise), 1, 8, 8), 0.5)),
        (lambda noise: torch.rand(len(noise), 1, 8, 8)),
    )
    run: Any = Scratch(tmp_path)
    genuine = small(tmp_path / "data.npz").train

    def warnings(*makes: Any) -> list[int]:
        """After how many of as many epochs there had been a warning."""
        told.clear()
        counts: list[int] = []
        watch = Watch(makes[0], genuine, lambda: len(counts) + 1, len(makes), 3, runtime, run)
        for make in makes:
            watch.make = make
            watch()
            counts.append(len(told))
        return counts

    assert warnings(same, same, same, same, same) == [0, 0, 1, 1, 1]  # a beginner is not judged
    assert "may have collapsed" in told[0]
    assert warnings(same) == [0]
    assert warnings(same, same, other, other, other) == [0] * 5
    assert warnings(other, same, same, same, same, same) == [0, 1, 1, 1, 1, 1]
    assert "had been at" in told[0]


WORDS = ["gan", "--width", "4", "--latent", "4", "--net", "mlp", "--threads", "1", "--quiet", "--batch-size", "8"]


def test_a_run_is_whole_and_resumes_to_the_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "save_pictures", lambda *_: None)
    small(tmp_path / "data.npz")
    runs = str(whole_and_resumed(WORDS, tmp_path / "data.npz", tmp_path))
    assert main(["generate", "latest", "--runs", runs, "-n", "5", "--quiet"]) == 0
    assert len(list((tmp_path / "whole" / "latest" / "generated").rglob("0*.png"))) == 5
    assert main(["export", "latest", "--runs", runs, "--quiet"]) == 0


def test_a_loss_that_is_not_finite_stops_at_the_last_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(session, "save_pictures", lambda *_: None)
    small(tmp_path / "data.npz")
    calls = itertools.count()

    def breaks(loss: Any, outputs: torch.Tensor) -> torch.Tensor:
        return generator_loss(loss, outputs) * (torch.nan if next(calls) == 7 else 1)  # in the second epoch

    with monkeypatch.context() as broken:
        broken.setattr("dlkit_builtin.gan.game.generator_loss", breaks)
        words = ["--data", str(tmp_path / "data.npz"), "--checkpoint-every", "0", "--epochs", "3"]
        assert main([*WORDS, *words, "--runs", str(tmp_path / "runs")]) == 1
    assert "generator_loss is nan" in capsys.readouterr().err
    assert main(["resume", "latest", "--runs", str(tmp_path / "runs"), "--quiet"]) == 0
    assert main([*WORDS, *words, "--runs", str(tmp_path / "whole")]) == 0
    weights = [(tmp_path / name / "latest" / "model.safetensors").read_bytes() for name in ("runs", "whole")]
    assert weights[0] == weights[1]  # it went on where all was well


def test_published_settings_reach_the_optimizers(tmp_path: Path) -> None:
    data = small(tmp_path / "data.npz")
    for given, betas, rates in (
        ({"loss": "wgan-gp"}, (0.0, 0.9), (1e-4, 1e-4)),
        ({"net": "resnet"}, (0.0, 0.99), (1e-4, 1e-4)),
        ({"lr_discriminator": 4e-4, "betas": (0.0, 0.9)}, (0.0, 0.9), (2e-4, 4e-4)),
    ):
        options = GanOptions(width=4, **given)  # type: ignore[arg-type]
        technique = Gan(options, data.spec)
        chosen = dataclasses.replace(options, lr=technique.recipe.lr)
        runtime = Runtime(RuntimeOptions(threads=1))
        game = Game(technique.generator, technique.discriminator, chosen, technique.recipe, runtime)
        groups = [each.param_groups[0] for each in (game.of_generator, game.of_discriminator)]
        assert [group["betas"] for group in groups] == [betas, betas]
        assert tuple(group["lr"] for group in groups) == rates


@pytest.mark.parametrize("net", NETS)
def test_spectral_norm_is_on_every_layer_of_the_discriminator_or_on_none(net: str) -> None:
    for spectral in (True, False):
        generator, discriminator = build(net, (1, 28, 28), latent=5, width=4, spectral=spectral)
        layers = [each for each in discriminator.modules() if isinstance(each, nn.Linear | nn.Conv2d)]
        assert all(hasattr(each, "parametrizations") == spectral for each in layers)
        assert not any(hasattr(each, "parametrizations") for each in generator.modules())


def test_fewer_epochs_than_there_were_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(session, "save_pictures", lambda *_: None)
    monkeypatch.setattr("dlkit_builtin.gan.technique.UPDATES", 8)  # two epochs, where none are given
    small(tmp_path / "data.npz")
    runs = str(tmp_path / "runs")
    assert main([*WORDS, "--data", str(tmp_path / "data.npz"), "--runs", runs]) == 0
    assert main(["resume", "latest", "--runs", runs, "--epochs", "1", "--quiet"]) == 2
    assert "has been trained for 2 epochs already" in capsys.readouterr().err


def test_what_does_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small(tmp_path / "data.npz")
    words = ["--data", str(tmp_path / "data.npz"), "--runs", str(tmp_path / "runs")]
    assert main([*WORDS, *words, "--image-size", "4"]) == 2
    assert "8 to 128 a side" in capsys.readouterr().err
    assert main([*WORDS, *words, "--loss", "hinge", "--smooth", "0.1"]) == 2
    assert "is about probabilities" in capsys.readouterr().err
    assert main([*WORDS, *words, "--betas", "0.5"]) == 2
    assert not (tmp_path / "runs").exists()


def test_corrupting_genuine_images_says_nothing_of_generated_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small(tmp_path / "data.npz")
    runs = str(tmp_path / "runs")
    assert main([*WORDS, "--data", str(tmp_path / "data.npz"), "--runs", runs]) == 0
    assert main(["evaluate", "latest", "--runs", runs, "--corrupt"]) == 2
    assert "is judged by those it makes" in capsys.readouterr().err
