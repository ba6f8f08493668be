"""Conditional networks: what they are told, by which heads, and that they listen."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dlkit_builtin.gan.cgan import Cgan
from dlkit_builtin.gan.conditions import KEPT, Conditions, complete
from dlkit_builtin.gan.game import Game
from dlkit_builtin.gan.heads import head
from dlkit_builtin.gan.losses import generated_loss, generator_loss, genuine_loss
from dlkit_builtin.gan.networks import ToldNorm, build
from dlkit_builtin.gan.options import CganOptions, GanOptions
from dlkit_builtin.gan.recipes import recipe
from gan_runs import whole_and_resumed
from torch import nn
from torch.nn import functional as F

from dlkit import session
from dlkit.cli.main import main
from dlkit.data import ImageData, load_data
from dlkit.errors import DataError, UsageError
from dlkit.options import DataOptions, RuntimeOptions
from dlkit.run.scratch import Scratch
from dlkit.runtime import Runtime

CONDITIONS = ("concat", "projection", "acgan", "matching")
KINDS = ("classes", "multi-label", "number")


def told(path: Path, target: str = "classes", shape: tuple[int, int, int] = (1, 8, 8), count: int = 60) -> ImageData:
    """Random images; their labels are of the kind that is asked for."""
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (count, shape[1], shape[2], shape[0])).astype(np.uint8)
    labels = {
        "classes": random.integers(0, 3, count),
        "multi-label": random.integers(0, 2, (count, 4)),
        "number": random.normal(5, 2, (count, 2)),
    }[target]
    split = np.repeat(["train", "test"], [count - 20, 20])
    np.savez(path, images=images.squeeze(-1) if shape[0] == 1 else images, labels=labels, split=split)
    return load_data(DataOptions(data=str(path)))


def options(**given: Any) -> CganOptions:
    return CganOptions(**{"net": "mlp", "width": 4, "latent": 4, "batch_size": 8, "epochs": 2, **given})


def played(chosen: CganOptions, data: ImageData, path: Path) -> tuple[Cgan, dict[str, torch.Tensor]]:
    """A technique after training, with its weights before."""
    technique = Cgan(chosen, data.spec)
    before = {name: tensor.clone() for name, tensor in technique.state().tensors.items()}
    run: Any = Scratch(path)
    technique.train(data, Runtime(RuntimeOptions(threads=1)), run)
    return technique, before


def test_a_convolutional_generator_learns_faster_than_its_discriminator() -> None:
    for loss, rates in (("non-saturating", (1e-3, 2e-4)), ("hinge", (1e-3, 2e-4)), ("wgan-gp", (1e-4, 1e-4))):
        found = recipe(CganOptions(loss=loss), 64)  # type: ignore[arg-type]
        assert (found.lr, found.lr_discriminator) == pytest.approx(rates)
    for given, rates in (
        ({"net": "resnet"}, (5e-4, 1e-4)), ({"net": "mlp"}, (2e-4, 2e-4)), ({"lr": 3e-4}, (3e-4, 3e-4)),
        ({"lr_discriminator": 1e-4}, (1e-3, 1e-4)),
    ):  # fmt: skip
        found = recipe(CganOptions(**given), 64)  # type: ignore[arg-type]
        assert (found.lr, found.lr_discriminator) == pytest.approx(rates)
    assert recipe(GanOptions(), 64).lr == 2e-4


def test_what_is_told_is_heard_from_the_start_and_leaves_the_noise_alone() -> None:
    generator, _ = build("dcgan", (1, 28, 28), latent=8, width=8, spectral=False, condition="concat", size=10)
    norms = [layer for layer in generator.modules() if isinstance(layer, ToldNorm)]
    classes = torch.eye(10) * math.sqrt(10)
    assert all(float(each.shift(classes).detach().std()) == pytest.approx(0.5, rel=0.3) for each in norms)
    assert all(not each.scale.weight.any() for each in norms)
    norm, maps = ToldNorm(nn.BatchNorm2d(3), 10), torch.randn(50, 3, 4, 4) * 3 + 7
    told = norm(maps, classes[:1].expand(50, -1))
    torch.testing.assert_close(told.std((0, 2, 3)), torch.ones(3), rtol=0.01, atol=0.01)
    torch.testing.assert_close(told.mean((0, 2, 3)), norm.shift(classes[0]).detach())


@pytest.mark.parametrize("target", KINDS)
def test_vectors_have_a_mean_square_of_one(target: str, tmp_path: Path) -> None:
    data = told(tmp_path / "data.npz", target)
    conditions = Conditions(data.spec)
    conditions.learn(data.train)
    labels = data.train.labels if data.train.targets is None else data.train.targets
    assert labels is not None
    vectors = conditions(labels)
    assert vectors.shape == (len(data.train), len(data.spec.classes))
    assert vectors.square().mean() == pytest.approx(1, rel=1e-5)
    if target == "classes":
        assert torch.equal(vectors.argmax(1), labels)
    drawn = conditions.draw(50, torch.Generator().manual_seed(0))
    assert all(any(torch.equal(one, label) for label in labels) for one in drawn)


def test_what_is_kept_has_the_proportions_of_the_images(tmp_path: Path) -> None:
    data = told(tmp_path / "data.npz")
    conditions = Conditions(data.spec)
    conditions.learn(data.train)
    assert data.train.labels is not None
    shares = torch.bincount(data.train.labels, minlength=3) / len(data.train)
    assert torch.allclose(torch.bincount(conditions.kept, minlength=3) / KEPT, shares, atol=0.01)


def test_heads_are_their_formulas() -> None:
    features, given = torch.randn(5, 7), torch.randn(5, 3)
    joined: Any = head("concat", 7, 3)
    both = torch.cat([joined.features.weight, joined.condition.weight], 1)
    hidden = F.leaky_relu(torch.cat([features, given], 1) @ both.T + joined.features.bias, 0.2)
    torch.testing.assert_close(joined(features, given), joined.output(hidden))
    projected: Any = head("projection", 7, 3)
    inner = torch.einsum("bk,dk,bd->b", given, projected.embedded.weight, features)
    torch.testing.assert_close(projected(features, given)[:, 0], projected.output(features)[:, 0] + inner)
    auxiliary: Any = head("acgan", 7, 3)
    assert torch.equal(auxiliary(features, given), auxiliary(features, -given))
    assert auxiliary.recognise(features).shape == (5, 3)


def test_recognition_is_the_loss_of_the_labels(tmp_path: Path) -> None:
    answers = torch.randn(4, 3)
    conditions = Conditions(told(tmp_path / "classes.npz").spec)
    labels = torch.tensor([0, 2, 1, 1])
    assert conditions.recognition(answers, conditions(labels)) == F.cross_entropy(answers, labels)
    conditions = Conditions(told(tmp_path / "several.npz", "multi-label").spec)
    several, answers = torch.tensor([[0.0, 1, 1, 0]]), torch.randn(1, 4)
    expected = F.binary_cross_entropy_with_logits(answers, several)
    assert conditions.recognition(answers, conditions(several)) == expected


@pytest.mark.parametrize("loss", ["non-saturating", "hinge"])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_what_both_pay(loss: Any, condition: Any, tmp_path: Path) -> None:
    """Both losses from the parts of the discriminator, for a batch in which two neighbours have the same class."""
    data = told(tmp_path / "data.npz")
    chosen = options(condition=condition, loss=loss, r1=0.0, lr=1e-3, spectral_norm="no")
    technique = Cgan(chosen, data.spec)
    runtime = Runtime(RuntimeOptions(threads=1))
    game = Game(
        technique.generator, technique.discriminator, chosen, technique.recipe, runtime, technique.conditions
    )  # fmt: skip
    labels = torch.tensor([0, 0, 1, 2])
    given, empty = technique.conditions(labels), torch.zeros(4, 7)
    genuine, generated, noise = torch.randn(4, 1, 8, 8), torch.randn(4, 1, 8, 8), torch.randn(4, 4)
    figures = game._discriminator_loss(genuine, generated, given, empty[:, 0], empty, empty)
    discriminator: Any = technique.discriminator
    expected = genuine_loss(loss, discriminator(genuine, given)).mean()
    others = generated_loss(loss, discriminator(generated, given)).mean()
    made = technique.generator(noise, given)
    of_generator = generator_loss(loss, discriminator(made, given))
    if condition == "matching":  # the batch's labels moved by one are 2, 0, 0, 1: the second is right again
        wrong = generated_loss(loss, discriminator(genuine, technique.conditions(torch.tensor([2, 0, 0, 1]))))
        others = (others + wrong[[0, 2, 3]].mean()) / 2
    if condition == "acgan":
        answers = [discriminator.output.recognise(discriminator.body(x)) for x in (genuine, generated, made)]
        expected = expected + sum(F.cross_entropy(answer, labels) for answer in answers[:2])
        of_generator = of_generator + F.cross_entropy(answers[2], labels)
    torch.testing.assert_close(figures["loss"], expected + others)
    torch.testing.assert_close(game._generator_loss(noise, given, empty), of_generator)


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("target", KINDS)
def test_all_that_is_learned_moves(condition: Any, target: str, tmp_path: Path) -> None:
    data = told(tmp_path / "data.npz", target)
    technique, before = played(options(condition=condition), data, tmp_path)
    for name, tensor in technique.state().tensors.items():
        assert tensor.isfinite().all()
        if name.endswith("weight"):
            assert not torch.equal(tensor, before[name]), name
    again = Cgan.load(technique.state(), technique.options, data.spec)
    one, other = (each.generate(5, torch.Generator().manual_seed(1)) for each in (technique, again))
    assert torch.equal(one, other)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_generator_learns_what_it_is_told(condition: Any, tmp_path: Path) -> None:
    """Black images of class 0, white ones of class 1: nothing is easier."""
    labels = np.arange(64) % 2
    images = np.broadcast_to((labels * 255).astype(np.uint8)[:, None, None], (64, 8, 8))
    np.savez(tmp_path / "data.npz", images=images, labels=labels, split=np.repeat(["train", "test"], [48, 16]))
    data = load_data(DataOptions(data=str(tmp_path / "data.npz")))
    chosen = options(condition=condition, width=16, epochs=40, lr=1e-3, ema=0.9, batch_size=16)
    technique, _ = played(chosen, data, tmp_path)
    wanted = torch.arange(40) % 2
    made = technique.generate(40, torch.Generator().manual_seed(0), wanted).mean((1, 2, 3))
    assert made[wanted == 0].mean() < 0.25
    assert made[wanted == 1].mean() > 0.75


def test_images_without_labels_are_left_out(tmp_path: Path) -> None:
    data = told(tmp_path / "data.npz")
    assert data.train.labels is not None
    data.train.labels[:30] = -1
    assert len(complete(data.train, data.spec)) == len(data.train) - 30
    data.train.labels[:] = -1
    with pytest.raises(DataError, match="needs at least two"):
        complete(data.train, data.spec)


def test_a_conditional_generator_must_be_told(tmp_path: Path) -> None:
    technique = Cgan(options(), told(tmp_path / "data.npz").spec)
    with pytest.raises(UsageError, match="told what to make"):
        technique.decode(torch.randn(2, 4))


WORDS = ["cgan", "--width", "4", "--latent", "4", "--net", "mlp", "--threads", "1", "--quiet", "--batch-size", "8"]


def test_a_run_is_whole_and_resumes_to_the_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "save_pictures", lambda *_: None)
    told(tmp_path / "data.npz")
    runs = str(whole_and_resumed(WORDS, tmp_path / "data.npz", tmp_path))
    assert main(["generate", "latest", "--runs", runs, "-n", "5", "--class", "2", "--quiet"]) == 0
    text = (tmp_path / "whole" / "latest" / "generated" / "001" / "manifest.csv").read_text()
    assert [line.split(",")[1] for line in text.splitlines()[1:]] == ["2"] * 5
    assert main(["grid", "latest", "--runs", runs, "--quiet"]) == 0
    assert main(["export", "latest", "--runs", runs, "--quiet"]) == 0


def test_what_does_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "data.npz", images=np.zeros((40, 8, 8), dtype=np.uint8))
    assert main([*WORDS, "--data", str(tmp_path / "data.npz"), "--runs", str(tmp_path / "runs")]) != 0
    assert "label" in capsys.readouterr().err


def test_what_was_learned_before_a_loss_went_astray_can_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(session, "save_pictures", lambda *_: None)
    told(tmp_path / "data.npz")
    words = [*WORDS, "--data", str(tmp_path / "data.npz"), "--runs"]
    step = Game.step
    with monkeypatch.context() as patch:

        def broken(game: Game, batch: Any) -> Any:
            figures = step(game, batch)
            return {**figures, "generator_loss": figures["generator_loss"] / (game.steps < 12)}  # five make an epoch

        patch.setattr(Game, "step", broken)
        assert main([*words, str(tmp_path / "astray"), "--epochs", "9"]) == 1
    assert "resume RUN --epochs N" in capsys.readouterr().err
    assert main(["resume", "latest", "--runs", str(tmp_path / "astray"), "--epochs", "2", "--quiet"]) == 0
    assert main([*words, str(tmp_path / "short"), "--epochs", "2"]) == 0
    kept, short = ((tmp_path / name / "latest" / "model.safetensors").read_bytes() for name in ("astray", "short"))
    assert kept == short
