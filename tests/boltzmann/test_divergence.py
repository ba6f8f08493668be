"""Contrastive divergence against the exact gradient, and its update against a plain loop."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from dlkit_builtin.boltzmann.divergence import ContrastiveDivergence, Draws
from dlkit_builtin.boltzmann.learning import learn, learn_layer
from dlkit_builtin.boltzmann.machine import Machine
from dlkit_builtin.boltzmann.options import DivergenceOptions
from tiny_machines import Nowhere, joint, states, tiny
from torch import Tensor

from dlkit.errors import Interrupted, UsageError
from dlkit.layerwise import LayerTask, vectors
from dlkit.options import RuntimeOptions, TrainOptions
from dlkit.options.values import Schedule
from dlkit.runtime import Runtime
from dlkit.runtime.signals import stop

PLAIN: dict[str, Any] = {"momentum": 0.0, "weight_decay": 0.0}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def exact_gradient(machine: Machine, data: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of the mean log p(v) over the rows of ``data``: with respect to W, c and a."""
    marginal = joint(machine).sum(1).float()
    everything = states(len(machine.visible_bias))
    above = machine.hidden(everything)
    of_data = machine.hidden(data)
    return (
        of_data.t() @ data / len(data) - (above * marginal[:, None]).t() @ everything,
        of_data.mean(0) - marginal @ above,
        data.mean(0) - marginal @ everything,
    )


def test_long_chains_follow_the_likelihood() -> None:
    machine = tiny(4, 3)
    data = states(4)[torch.tensor([1, 3, 3, 8, 14])].repeat(8_000, 1)
    expected = exact_gradient(machine, data)
    before = [p.clone() for p in (machine.weight, machine.hidden_bias, machine.visible_bias)]
    rule = ContrastiveDivergence(machine, DivergenceOptions(cd=25, **PLAIN), seeded())
    rule.update(data, 1.0, seeded())
    for now, was, gradient in zip((machine.weight, machine.hidden_bias, machine.visible_bias), before, expected,
                                  strict=True):  # fmt: skip
        torch.testing.assert_close(now - was, gradient, rtol=0, atol=0.015)
        assert float(gradient.abs().max()) > 0.1


def test_persistent_chains_forget_the_data_and_go_on() -> None:
    """With a rate of 0 they are a Gibbs chain: in the end p(h) of the machine, whatever the batches are."""
    machine = tiny(4, 3)
    rule = ContrastiveDivergence(machine, DivergenceOptions(persistent=40_000, **PLAIN), seeded())
    chains, generator = rule.state["chains"], seeded()
    for _ in range(30):
        before = chains.clone()
        rule.update(torch.ones(7, 4), 0.0, generator)
        assert not torch.equal(before, chains)
    assert rule.state["chains"] is chains
    seen = torch.bincount((chains.long() * 2 ** torch.arange(3)).sum(1), minlength=8) / len(chains)
    assert float((seen - joint(machine).sum(0)).abs().sum() / 2) < 0.012


def test_persistent_gradient_weighs_chains_as_much_as_data() -> None:
    machine = tiny(4, 3)
    rule = ContrastiveDivergence(machine, DivergenceOptions(persistent=30_000, **PLAIN), seeded())
    data, generator = states(4)[3:9], seeded()
    for _ in range(25):
        rule.update(data, 0.0, generator)
    weight, _, visible = exact_gradient(machine, data)
    before, bias = machine.weight.clone(), machine.visible_bias.clone()
    rule.update(data, 1.0, generator)
    torch.testing.assert_close(machine.weight - before, weight, rtol=0, atol=0.015)
    torch.testing.assert_close(machine.visible_bias - bias, visible, rtol=0, atol=0.015)


@pytest.mark.parametrize("chains", [None, 6])
@pytest.mark.parametrize("gaussian", [False, True])
def test_momentum_and_weight_decay_are_those_of_a_plain_loop(chains: int | None, gaussian: bool) -> None:
    options = DivergenceOptions(momentum=0.8, weight_decay=0.3, cd=2, persistent=chains)
    machine = tiny(5, 4, gaussian=gaussian)
    rule = ContrastiveDivergence(machine, options, seeded())
    generator, velocity = seeded(1), [torch.zeros_like(p) for p in machine.parameters()]
    for step, rate in enumerate((0.1, 0.1, 0.03)):
        data = states(5)[step * 7 : step * 7 + 7 - step]
        plain = deepcopy(machine)
        gradient = ContrastiveDivergence(plain, DivergenceOptions(cd=2, persistent=chains, **PLAIN), seeded())
        gradient.state.update({name: t.clone() for name, t in rule.state.items() if name == "chains"})
        gradient.update(data, 1.0, generator.clone_state())
        for index, (after, now) in enumerate(zip(plain.parameters(), machine.parameters(), strict=True)):
            decay = 0.3 * now if now.ndim == 2 else 0
            velocity[index] = 0.8 * velocity[index] + (after - now) - decay
        expected = [now + rate * v for now, v in zip(machine.parameters(), velocity, strict=True)]
        rule.update(data, rate, generator)
        for now, then in zip(machine.parameters(), expected, strict=True):
            torch.testing.assert_close(now, then, rtol=1e-4, atol=1e-5)


def test_weight_decay_without_momentum() -> None:
    one, other = tiny(), tiny()
    data = states(5)[4:20]
    for machine, decay in ((one, 0.0), (other, 0.5)):
        options = DivergenceOptions(momentum=0.0, weight_decay=decay)
        ContrastiveDivergence(machine, options, seeded()).update(data, 0.1, seeded(1))
    torch.testing.assert_close(one.weight - other.weight, 0.1 * 0.5 * tiny().weight)
    torch.testing.assert_close(one.hidden_bias, other.hidden_bias)


def test_a_batch_of_another_size_is_computed_in_full() -> None:
    one, other = tiny(), tiny()
    rule = ContrastiveDivergence(one, DivergenceOptions(**PLAIN), seeded())
    rule.update(states(5), 0.0, seeded())
    rule.update(states(5)[:3], 0.1, seeded(2))
    ContrastiveDivergence(other, DivergenceOptions(**PLAIN), seeded()).update(states(5)[:3], 0.1, seeded(2))
    torch.testing.assert_close(one.weight, other.weight)


def test_tosses_have_their_probabilities() -> None:
    chances = torch.linspace(0, 1, 5).repeat(50_000, 1)
    out = torch.empty_like(chances)
    Draws(50_000, 5, chances.device).toss(chances, seeded(), out)
    assert set(out.flatten().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(out.mean(0), chances[0], rtol=0, atol=0.01)
    assert out[:, 0].sum() == 0
    assert out[:, 4].min() == 1
    assert float(torch.corrcoef(out[:, 1:4].t()).triu(1).abs().max()) < 0.02


def images(count: int = 120) -> Tensor:
    """Two patterns with noise, ``(count, 6)`` in [0, 1]."""
    random = torch.rand(count, 6, generator=seeded(5))
    return (torch.eye(2).repeat_interleave(3, 1)[torch.arange(count) % 2] * 0.8 + 0.1 > random).float()


def taught(path: Path, *, stop_after: int | None = None, patch: Any = None, **options: Any) -> Machine:
    """A machine through ``fit``; perhaps interrupted after so many updates, and gone on with by another process."""
    path.mkdir(exist_ok=True)
    chosen = DivergenceOptions(**{"epochs": 4, "batch_size": 7, "schedule": Schedule("cosine"), **options})
    split, seen = vectors("train", images()), 0

    def once() -> Machine:
        runtime = Runtime(RuntimeOptions(device="cpu", threads=1))
        machine = runtime.prepare(Machine(6, 5))
        learn(machine, split, chosen, runtime, Nowhere(path), phase="one", held_out=vectors("val", images(30)))
        return machine

    if stop_after is None:
        return once()
    real = ContrastiveDivergence.update

    def counting(rule: ContrastiveDivergence, *arguments: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen == stop_after:
            stop.signum = 2
        return real(rule, *arguments)

    with patch.context() as patched:
        patched.setattr(ContrastiveDivergence, "update", counting)
        try:
            with pytest.raises(Interrupted):
                once()
        finally:
            stop.signum = None
    return once()


@pytest.mark.parametrize("options", [{}, {"persistent": 9, "sparsity": 0.2, "cd": 2}], ids=["cd", "pcd"])
def test_a_resumed_training_ends_with_the_same_bits(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = taught(tmp_path / "whole", **options)
    parts = taught(tmp_path / "parts", stop_after=29, patch=monkeypatch, **options)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, parts.state_dict()[name]), name


def test_the_schedule_is_honoured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []

    def watched(
        _rule: ContrastiveDivergence, _visible: Tensor, rate: float, _rng: torch.Generator
    ) -> dict[str, Tensor]:
        rates.append(rate)
        return {}

    monkeypatch.setattr(ContrastiveDivergence, "update", watched)
    run = Nowhere(tmp_path)
    runtime = Runtime(RuntimeOptions(device="cpu", threads=1))
    options = DivergenceOptions(epochs=3, batch_size=60, lr=0.2, schedule=Schedule("step", 1.0))
    learn(Machine(6, 2), vectors("train", images()), options, runtime, run, phase="one")
    assert rates == pytest.approx([0.2, 0.2, 0.02, 0.02, 0.002, 0.002])
    assert [row["lr"] for row in run.rows] == pytest.approx([0.2, 0.02, 0.002])


def test_sparsity_reaches_its_target(tmp_path: Path) -> None:
    free = taught(tmp_path / "free", epochs=30)
    sparse = taught(tmp_path / "sparse", epochs=30, sparsity=0.15, sparsity_cost=1.0)
    target = sparse.hidden(images()).mean(0).detach()
    assert float((target - 0.15).abs().max()) < 0.06
    assert float((free.hidden(images()).mean(0).detach() - 0.15).abs().max()) > 0.15


def task(**changes: Any) -> LayerTask:
    return LayerTask(**{"phase": "layer", "units": 4, "activation": "sigmoid",
                        "options": TrainOptions(epochs=2, lr=0.05), **changes})  # fmt: skip


@pytest.mark.parametrize("binary", [True, False])
def test_it_teaches_layers(binary: bool, tmp_path: Path) -> None:
    runtime = Runtime(RuntimeOptions(device="cpu", threads=1))
    inputs = images() if binary else images() * 3 - 5
    layer = learn_layer(vectors("train", inputs), task(binary=binary), runtime, Nowhere(tmp_path))
    assert (layer.in_features, layer.out_features) == (6, 4)
    assert layer.weight.isfinite().all()
    assert layer.weight.requires_grad
    assert 0.05 < float(torch.sigmoid(layer(inputs)).mean().detach()) < 0.95


@pytest.mark.parametrize(("changes", "match"), [({"activation": "relu"}, "sigmoid"), ({"noise": "mask:0.2"}, "clean")])
def test_layers_that_it_does_not_teach(changes: dict[str, Any], match: str, tmp_path: Path) -> None:
    runtime = Runtime(RuntimeOptions(device="cpu", threads=1))
    with pytest.raises(UsageError, match=match):
        learn_layer(vectors("train", images()), task(**changes), runtime, Nowhere(tmp_path))
