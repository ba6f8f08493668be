"""Colour bins, soft encoding, rebalancing, the loss and the annealed mean, beside plain implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from dlkit_builtin.colorize.bins import (
    SoftEncoding,
    annealed_mean,
    balanced_cross_entropy,
    balancing_weights,
    gamut_bins,
    smoothed,
)
from dlkit_builtin.colorize.lab import rgb_to_lab

RANDOM = torch.Generator().manual_seed(0)


def srgb_colours(count: int) -> torch.Tensor:
    return rgb_to_lab(torch.rand(count, 3, generator=RANDOM))[:, 1:]


@pytest.mark.parametrize("grid", [10, 25])
def test_bins_are_the_grid_points_that_colours_are_nearest_to(grid: int) -> None:
    bins = gamut_bins(grid)
    assert (bins % grid == 0).all()
    cells = {(int(a), int(b)) for a, b in (bins / grid).round().tolist()}
    corners = torch.cartesian_prod(*[torch.tensor([0.0, 0.5, 1.0])] * 3)
    colours = torch.cat([srgb_colours(50_000), rgb_to_lab(corners)[:, 1:]])
    seen = {(int(a), int(b)) for a, b in (colours / grid).round().unique(dim=0).tolist()}
    assert seen <= cells
    assert len(seen) > 0.85 * len(cells)  # the others are thin slices at the rim


def test_there_are_261_bins_at_the_papers_grid() -> None:
    assert len(gamut_bins(10)) == 261


@pytest.mark.parametrize("grid", [10, 40])
def test_soft_encoding_is_that_of_a_search_over_all_bins(grid: int) -> None:
    colours, bins = srgb_colours(3_000), gamut_bins(grid)
    chosen, shares = SoftEncoding(grid)(colours)
    count = min(5, len(bins))
    distances = (colours.double()[:, None] - bins.double()).norm(dim=2)
    nearest = distances.topk(count, largest=False)
    plain = torch.exp(-nearest.values.square() / (2 * (grid / 2) ** 2))
    plain /= plain.sum(1, keepdim=True)
    torch.testing.assert_close(distances.gather(1, chosen), nearest.values, atol=1e-4, rtol=0)
    torch.testing.assert_close(shares.double(), plain, atol=1e-4, rtol=0)
    assert torch.equal(SoftEncoding(grid).nearest(colours), chosen[:, 0])


def test_weights_weigh_one_on_average() -> None:
    bins = gamut_bins(10)
    counts = torch.rand(len(bins), generator=RANDOM, dtype=torch.float64) ** 8
    shares = smoothed(counts, bins, 5)
    assert float(shares.sum()) == pytest.approx(1)
    for strength in (0.0, 0.5, 0.9):
        weights = balancing_weights(shares, strength)
        assert float((shares * weights).sum()) == pytest.approx(1)
        plain = 1 / ((strength) * shares + (1 - strength) / len(bins))
        torch.testing.assert_close(weights / weights[0], plain / plain[0])
    assert balancing_weights(shares, 0.0).unique().numel() == 1
    order = balancing_weights(shares, 0.5).argsort()
    assert torch.equal(order, shares.argsort(descending=True))  # the rarer, the heavier


def test_the_loss_is_the_papers() -> None:
    bins = gamut_bins(30)
    count = len(bins)
    logits = torch.randn(2, count, 3, 4, generator=RANDOM)
    weights = torch.rand(count, generator=RANDOM)
    colours = srgb_colours(2 * 3 * 4)
    chosen, shares = SoftEncoding(30)(colours)
    total = 0.0
    for row, (image, i, j) in enumerate(np.ndindex(2, 3, 4)):
        target = np.zeros(count)
        target[chosen[row].numpy()] = shares[row].numpy()
        z = logits[image, :, i, j].double().numpy()
        predicted = np.exp(z) / np.exp(z).sum()
        total -= float(weights[target.argmax()]) * float((target * np.log(predicted)).sum())
    maps = [each.view(2, 3, 4, 5).movedim(-1, 1) for each in (chosen, shares)]
    assert float(balanced_cross_entropy(logits, *maps, weights)) == pytest.approx(total / 24, rel=1e-5)


def test_the_annealed_mean_lies_between_mean_and_mode() -> None:
    bins = gamut_bins(10)
    logits = 3 * torch.randn(1, len(bins), 2, 2, generator=torch.Generator().manual_seed(0))
    probabilities = logits.double().softmax(1)
    mean = torch.einsum("bqhw,qc->bchw", probabilities, bins.double()).float()
    torch.testing.assert_close(annealed_mean(logits, bins, 1.0), mean, atol=1e-3, rtol=0)
    mode = bins[logits.argmax(1)].movedim(-1, 1)
    torch.testing.assert_close(annealed_mean(logits, bins, 0.01), mode, atol=0.5, rtol=0)
    two = torch.full((1, len(bins), 1, 1), -math.inf)
    two[0, 3], two[0, 7] = math.log(0.8), math.log(0.2)
    sharp = 0.8 ** (1 / 0.38) / (0.8 ** (1 / 0.38) + 0.2 ** (1 / 0.38))
    expected = sharp * bins[3] + (1 - sharp) * bins[7]
    torch.testing.assert_close(annealed_mean(two, bins, 0.38).flatten(), expected, atol=1e-3, rtol=0)
