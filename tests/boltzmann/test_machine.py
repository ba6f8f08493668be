"""The machine against sums over all of its states, and scikit-learn's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from dlkit_builtin.boltzmann.learning import linear
from dlkit_builtin.boltzmann.partition import (
    CHAINS,
    annealed,
    binary_states,
    exact,
    log_hidden,
    log_partition,
    temperatures,
)
from sklearn.neural_network import BernoulliRBM
from tiny_machines import energies, joint, states, tiny


def test_free_energy_is_the_sum_over_hidden_states() -> None:
    machine = tiny()
    expected = -torch.logsumexp(-energies(machine), 1)
    torch.testing.assert_close(machine.free_energy(states(5)).double(), expected, rtol=1e-5, atol=1e-5)
    of_hidden = torch.logsumexp(-energies(machine), 0)
    torch.testing.assert_close(log_hidden(machine, states(4)).double(), of_hidden, rtol=1e-5, atol=1e-5)


def test_conditionals_are_those_of_the_joint_distribution() -> None:
    machine, table = tiny(), joint(tiny())
    hidden = (table / table.sum(1, keepdim=True)) @ states(4).double()
    visible = (table / table.sum(0, keepdim=True)).t() @ states(5).double()
    torch.testing.assert_close(machine.hidden(states(5)).double(), hidden, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(machine.visible(states(4)).double(), visible, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [(5, 4), (4, 6), (3, 3)])
def test_log_z_by_either_layer(size: tuple[int, int]) -> None:
    machine = tiny(*size)
    assert exact(machine) == pytest.approx(float(torch.logsumexp(-energies(machine).flatten(), 0)), rel=1e-6)
    assert log_partition(machine, 10, torch.Generator()).interval == (exact(machine), exact(machine))


def test_enumeration_in_pieces_is_enumeration(monkeypatch: pytest.MonkeyPatch) -> None:
    from dlkit_builtin.boltzmann import partition

    whole = exact(tiny())
    monkeypatch.setattr(partition, "_CHUNK", 3)
    assert exact(tiny()) == pytest.approx(whole, rel=1e-6)
    assert binary_states(3, 5, 7).tolist() == [[1, 0, 1], [0, 1, 1]]


def test_free_energy_is_scikit_learns() -> None:
    machine = tiny(12, 7)
    other = BernoulliRBM(7)
    other.components_ = machine.weight.numpy()
    other.intercept_hidden_ = machine.hidden_bias.numpy()
    other.intercept_visible_ = machine.visible_bias.numpy()
    images = (torch.rand(50, 12, generator=torch.Generator().manual_seed(1)) < 0.4).float()
    expected = other._free_energy(images.numpy())
    np.testing.assert_allclose(machine.free_energy(images).numpy(), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(machine.hidden(images).numpy(), other.transform(images.numpy()), rtol=1e-4)


def grid(low: float, high: float, count: int, dimensions: int) -> tuple[torch.Tensor, float]:
    """Points ``(count^d, d)`` and the volume that each stands for."""
    axis = torch.linspace(low, high, count, dtype=torch.float64)
    points = torch.cartesian_prod(*[axis] * dimensions).view(-1, dimensions)
    return points, float(axis[1] - axis[0]) ** dimensions


@pytest.mark.parametrize("dimensions", [1, 2])
def test_gaussian_units_against_numerical_integration(dimensions: int) -> None:
    machine = tiny(dimensions, 3, gaussian=True).double()
    points, volume = grid(-15, 15, 3001 if dimensions == 1 else 401, dimensions)
    h = states(3).double()
    energy = (
        0.5 * (points - machine.visible_bias).square().sum(1)[:, None]
        - (h @ machine.hidden_bias)[None]
        - points @ machine.weight.t() @ h.t()
    )
    torch.testing.assert_close(machine.free_energy(points), -torch.logsumexp(-energy, 1))
    log_z = float(torch.logsumexp(-energy.flatten(), 0)) + math.log(volume)
    assert exact(machine) == pytest.approx(log_z, rel=1e-6)
    density = torch.exp(-energy)
    mean = (density[:, :, None] * points[:, None]).sum(0) / density.sum(0)[:, None]
    torch.testing.assert_close(machine.visible(h), mean, rtol=1e-5, atol=1e-6)
    by_hidden = torch.logsumexp(-energy, 0) + math.log(volume)
    torch.testing.assert_close(log_hidden(machine, h), by_hidden, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("gaussian", [False, True], ids=["bernoulli", "gaussian"])
def test_annealed_importance_sampling_finds_log_z_at_20_hidden_units(gaussian: bool) -> None:
    """The estimate lies within its own 95 % interval nearly always, and the interval says something."""
    machine = tiny(8, 20, gaussian=gaussian, spread=0.3)
    truth = exact(machine)
    tries = [annealed(machine, 200, CHAINS, torch.Generator().manual_seed(seed)) for seed in range(6)]
    assert sum(low <= truth <= high for low, high in (each.interval for each in tries)) >= 5
    assert all(0 < each.error < 0.2 for each in tries)
    assert abs(sum(each.value for each in tries) / 6 - truth) < 0.1


@pytest.mark.parametrize("steps", [2, 3, 29, 1000])
def test_temperatures(steps: int) -> None:
    ladder = temperatures(steps)
    assert len(ladder) == steps + 1
    assert (ladder[0], ladder[-1]) == (0.0, 1.0)
    assert ladder == sorted(set(ladder))
    if steps == 1000:  # those of the paper: 500 to 0.5, 4,000 to 0.9, 10,000 to 1
        assert ladder[round(1000 * 500 / 14500)] == pytest.approx(0.5, abs=1e-9)
        assert ladder[round(1000 * 4500 / 14500)] == pytest.approx(0.9, abs=1e-9)


def test_gibbs_chains_end_in_the_exact_distribution() -> None:
    machine, chains = tiny(4, 3), 40_000
    generator = torch.Generator().manual_seed(0)
    visible, hidden = machine.gibbs(machine.noise(chains, generator), 30, generator)
    powers = 2 ** torch.arange(4)
    seen = torch.bincount((visible.long() * powers).sum(1), minlength=16) / chains
    assert float((seen - joint(machine).sum(1)).abs().sum() / 2) < 0.015  # total variation; by chance about 0.007
    given = machine.visible(hidden)
    assert float((visible.mean(0) - given.mean(0)).abs().max()) < 0.01


def test_gaussian_chains_have_the_right_moments() -> None:
    machine, generator = tiny(2, 3, gaussian=True, spread=0.7), torch.Generator().manual_seed(0)
    visible, _ = machine.gibbs(machine.noise(20_000, generator), 30, generator)
    weight = torch.softmax(log_hidden(machine, states(3)).double(), 0)
    means = machine.visible(states(3)).double()
    mean = weight @ means
    covariance = torch.eye(2, dtype=torch.float64) + (means * weight[:, None]).t() @ means - torch.outer(mean, mean)
    torch.testing.assert_close(visible.double().mean(0), mean, rtol=0.03, atol=0.04)
    torch.testing.assert_close(torch.cov(visible.double().t()), covariance, rtol=0.05, atol=0.05)


def test_biases_start_at_the_independent_pixels() -> None:
    machine = tiny(3, 2)
    machine.start_from(torch.tensor([0.0, 0.25, 1.0]), torch.tensor(1.0), 9)
    expected = torch.tensor([0.05, 0.275, 0.95]).logit()
    torch.testing.assert_close(machine.base, expected)
    torch.testing.assert_close(machine.visible_bias, expected)


def test_gaussian_units_see_standardised_inputs_and_the_layer_folds_them() -> None:
    machine = tiny(3, 2, gaussian=True)
    machine.start_from(torch.tensor([1.0, 2.0, 3.0]), torch.tensor(0.5), 9)
    inputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    units = machine.units(inputs)
    torch.testing.assert_close(units, (inputs - torch.tensor([1.0, 2.0, 3.0])) / 0.5)
    torch.testing.assert_close(machine.inputs(units), inputs)
    torch.testing.assert_close(torch.sigmoid(linear(machine)(inputs)), machine.hidden(units))
