"""Whatever is offered trains: every loss × net × condition on images of several sizes, with one and three channels.

The default suite plays 25 games in which each value of each of the five factors meets each value of every other one;
all 750 are played with ``-m slow``, a part of them with ``-m slow -k "every and resnet and hinge and 30x44"``, say: a
test's name ends with its values.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from dlkit_builtin.gan.cgan import Cgan
from dlkit_builtin.gan.game import Game
from dlkit_builtin.gan.options import CganOptions, GanOptions
from dlkit_builtin.gan.technique import Gan
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional as F

from dlkit.data.spec import DataSpec
from dlkit.options import RuntimeOptions
from dlkit.runtime import Batch, Runtime

LOSSES = ("minimax", "non-saturating", "hinge", "lsgan", "wgan-gp")
NETS = ("mlp", "dcgan", "resnet")
CONDITIONS = (None, "concat", "projection", "acgan", "matching")
SIZES = ((8, 8), (28, 28), (32, 32), (64, 64), (30, 44))
CHANNELS = (1, 3)
STEPS, LAST, BATCH, IMAGES = 300, 100, 4, 160
WIDTHS = {"mlp": 16, "dcgan": 4, "resnet": 4}
"""Four hidden units of an mlp are too few for 28 × 28 × 3 numbers: by hinge, the discriminator is certain for the first
300 steps, though not for 600."""
SATURATED = {"minimax": 0.01, "non-saturating": 0.01, "hinge": 0.001}
"""Loss → below which its discriminator has nothing to learn. By hinge it may be near that for a while, since the
generator's pull does not fade: with a residual network on 8 × 8 × 3 the means over each 500 steps were 0.37, 0.02,
0.007, 0.02, 0.04 … 0.24. The square of lsgan pulls the generator all the more, the surer the discriminator is; the
critic of wgan-gp has no end to reach."""


def pairs() -> list[tuple[Any, ...]]:
    """Bose: columns i, j, i + j, i + 2j and i + 3j modulo 5 of an orthogonal array; fewer values repeat."""
    rows = []
    for i, j in itertools.product(range(5), repeat=2):
        net, channels = NETS[(i + 2 * j) % 5 % 3], CHANNELS[(i + 3 * j) % 5 % 2]
        rows.append((LOSSES[i], CONDITIONS[j], SIZES[(i + j) % 5], net, channels))
    return rows


EVERY = list(itertools.product(LOSSES, CONDITIONS, SIZES, NETS, CHANNELS))


def test_each_pair_of_values_is_played() -> None:
    played = pairs()
    for first, second in itertools.combinations(range(5), 2):
        wanted = {(row[first], row[second]) for row in EVERY}
        assert {(row[first], row[second]) for row in played} == wanted


def images(size: tuple[int, int], channels: int) -> tuple[Tensor, Tensor]:
    """Digits, enlarged and tinted ``(N, C, H, W)`` in [0, 1], and their classes."""
    digits: Any = load_digits()
    grey = torch.from_numpy(digits.images[:IMAGES]).float()[:, None] / 16
    large = F.interpolate(grey, size, mode="bilinear")
    tint = torch.rand(IMAGES, channels, 1, 1, generator=torch.Generator().manual_seed(0)) / 2 + 0.5
    return large * tint, torch.from_numpy(digits.target[:IMAGES]).long()


def played(loss: Any, condition: Any, size: tuple[int, int], net: Any, channels: int) -> Mapping[str, Tensor]:
    """300 steps with the combination's settings; means of the last ones' figures, and what else is to be known.

    Where a discriminator that can be certain is updated several times for each update of the generator, 300 of these:
    in the sixty of 300 steps the generator has not caught up with it.
    """
    runtime = Runtime(RuntimeOptions(threads=1))
    pixels, labels = images(size, channels)
    chosen: dict[str, Any] = {"loss": loss, "net": net, "width": WIDTHS[net], "latent": 8, "batch_size": BATCH}
    names = tuple(map(str, range(10)))
    spec = DataSpec(source="", name="", channels=channels, height=size[0], width=size[1], classes=names)
    unconditional = condition is None
    gan = Gan(GanOptions(**chosen), spec) if unconditional else Cgan(CganOptions(condition=condition, **chosen), spec)
    game = Game(
        runtime.prepare(gan.generator), runtime.prepare(gan.discriminator),
        type(gan.options)(**chosen, lr=gan.recipe.lr, **({} if unconditional else {"condition": condition})),
        gan.recipe, runtime, gan.conditions,
    )  # fmt: skip
    before = [each.detach().clone() for each in gan.generator.parameters()]
    order = torch.Generator().manual_seed(1)
    seen: list[Mapping[str, Tensor]] = []
    for _ in range(STEPS * gan.recipe.n_dis if loss in SATURATED else STEPS):
        chosen_ones = torch.randperm(IMAGES, generator=order)[:BATCH]
        seen.append(game.step(Batch(pixels[chosen_ones], labels[chosen_ones], chosen_ones)))
    figures = {name: torch.stack([each[name] for each in seen[-LAST:]]).mean() for name in seen[0]}
    moved = torch.stack([(a - b).norm() for a, b in zip(gan.generator.parameters(), before, strict=True)])
    pull = torch.stack([each.grad.norm() for each in gan.generator.parameters() if each.grad is not None])
    diameter = torch.tensor(2 * math.sqrt(pixels[0].numel()))  # what a slope of 1 can reach among images in [−1, 1]
    return {**figures, "moved": moved.min(), "pull": pull.norm(), "diameter": diameter}


def check(figures: Mapping[str, Tensor], loss: str) -> None:
    """Finite; the generator moved; the discriminator still has something to learn and something to teach."""
    assert all(bool(value.isfinite()) for value in figures.values()), figures
    assert figures["moved"] > 0
    assert figures["pull"] > 1e-4
    if loss in SATURATED:
        assert figures["discriminator_loss"] > SATURATED[loss], figures
    gap = abs(figures["d_genuine"] - figures["d_generated"])
    assert gap < (2 * figures["diameter"] if loss == "wgan-gp" else 30), figures


def said(value: Any) -> str:
    """In a test's name."""
    return "x".join(map(str, value)) if isinstance(value, tuple) else "untold" if value is None else str(value)


@pytest.mark.parametrize(("loss", "condition", "size", "net", "channels"), pairs(), ids=said)
def test_each_pair(loss: str, condition: str | None, size: tuple[int, int], net: str, channels: int) -> None:
    check(played(loss, condition, size, net, channels), loss)


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "condition", "size", "net", "channels"), EVERY, ids=said)
def test_every_combination(loss: str, condition: str | None, size: tuple[int, int], net: str, channels: int) -> None:
    check(played(loss, condition, size, net, channels), loss)
