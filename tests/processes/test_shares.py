"""What processes exchange, and how updates are divided, without starting any: each side is played in turn."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dlkit.options import RuntimeOptions
from dlkit.runtime import Runtime, processes, state
from dlkit.runtime.processes import Processes
from dlkit.runtime.together import Together
from dlkit.runtime.update import Updater


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("rows", [0, 1, 5, 64])
def test_shares_are_disjoint_in_order_and_complete(count: int, rows: int) -> None:
    shares = [Processes(rank, count).share(rows) for rank in range(count)]
    assert [row for share in shares for row in range(share.start, share.stop)] == list(range(rows))
    sizes = [share.stop - share.start for share in shares]
    assert max(sizes) - min(sizes) <= 1


def test_one_process_gives_back_what_it_was_given() -> None:
    alone, value = Processes(), torch.tensor([1.0, 2.0])
    alone.total([value])
    alone.mean([value])
    alone.alike([value])
    assert value.tolist() == [1.0, 2.0]
    assert alone.whole(value, 2) is value
    assert alone.agreed(3.5) == 3.5
    assert alone.largest(2) == 2
    assert alone.first(lambda: {"a": 1}) == {"a": 1}
    assert not alone.shared


def test_numbers_rows_and_json_are_told(together: Callable[..., list[Any]]) -> None:
    def talk(processes: Processes) -> tuple[Any, ...]:
        rows = torch.arange(10.0).reshape(5, 2)
        return (
            processes.agreed(float(processes.rank) + 0.1),
            processes.largest(processes.rank),
            processes.whole(rows[processes.share(5)], 5).tolist(),
            processes.first(lambda: {"from": processes.rank, "count": processes.count, "loss": math.pi}),
            [int(each) for each in processes.each(torch.tensor(processes.rank))],
        )

    expected = (0.1, 2, torch.arange(10.0).reshape(5, 2).tolist(), {"from": 0, "count": 1, "loss": math.pi}, [0, 1, 2])
    assert together(3, talk) == [expected] * 3


@pytest.mark.parametrize("rows", [1, 2, 7, 8])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_an_update_is_that_of_one_process(together: Callable[..., list[Any]], rows: int, accumulate: int) -> None:
    inputs, targets = torch.randn(rows, 4, generator=torch.Generator().manual_seed(1)), torch.ones(rows, 2)

    def train(processes: Processes) -> tuple[list[float], dict[str, float]]:
        network = nn.Linear(4, 2)
        with torch.no_grad():
            network.weight.copy_(torch.arange(8.0).reshape(2, 4) / 8)
            network.bias.zero_()
        optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
        updater = Updater(None, str, processes)
        updater.clip, updater.accumulate, updater.independent = 0.5, accumulate, True
        for _ in range(3):
            values = updater(optimizer, lambda x, y, _: (network(x) - y).square().mean(), [inputs, targets, None])
        return network.weight.flatten().tolist(), {name: float(value) for name, value in values.items()}

    [(weights, values)] = together(1, train)
    for found, figures in together(2, train):
        assert found == pytest.approx(weights, abs=1e-6)
        assert figures == pytest.approx(values, abs=1e-6)


def test_a_process_whose_rows_use_no_weight_takes_the_others_gradient(together: Callable[..., list[Any]]) -> None:
    """Of a network with branches, where each row takes one; a branch that no row takes has no gradient."""

    def train(processes: Processes) -> list[list[float]]:
        first, second, third = (nn.Parameter(torch.ones(1)) for _ in range(3))
        optimizer = torch.optim.SGD([first, second, third], lr=1.0)

        def loss(rows: Tensor) -> Tensor:
            return torch.stack([first if row < 1 else second for row in rows]).mean()

        Updater(None, str, processes)(optimizer, loss, [torch.tensor([0.0, 2.0])])
        assert third.grad is None
        return [parameter.tolist() for parameter in (first, second, third)]

    assert together(2, train) == [[[0.5], [0.5], [1.0]]] * 2


def test_figures_that_are_one_tensor_are_weighted_once(together: Callable[..., list[Any]]) -> None:
    def train(processes: Processes) -> dict[str, float]:
        weight = nn.Parameter(torch.ones(1))

        def loss(rows: Tensor) -> dict[str, Tensor]:
            value = (weight * rows).mean()
            return {"loss": value, "same": value}

        values = Updater(None, str, processes)(torch.optim.SGD([weight], lr=0.0), loss, [torch.tensor([1.0, 3.0])])
        return {name: float(value) for name, value in values.items()}

    assert together(2, train) == [{"loss": 2.0, "same": 2.0}] * 2


@pytest.mark.parametrize(("before", "now"), [(1, 2), (2, 3), (3, 2)])
def test_streams_of_another_number_of_processes_differ(before: int, now: int) -> None:
    """What dropout draws must not be the same everywhere."""
    runtime = Runtime(RuntimeOptions(device="cpu", threads=1))
    streams = [torch.Generator().manual_seed(rank).get_state() for rank in range(before)]
    tree = {**state.capture_random(runtime), "cpu": torch.stack(streams) if before > 1 else streams[0]}
    drawn = set()
    for rank in range(now):
        runtime.processes = Processes(rank, now)
        assert state.restore_random(tree, runtime)
        drawn.add(float(torch.rand(())))
    assert len(drawn) == now


def test_streams_on_gpus_differ_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Runtime(RuntimeOptions(device="cpu", threads=1))
    tree = state.capture_random(runtime) | {"device": "cuda", "cuda": torch.get_rng_state()}
    runtime.device, runtime.processes = torch.device("cuda:1"), Processes(1, 2)
    done: list[str] = []
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda *_: done.append("restored"))
    monkeypatch.setattr(torch, "manual_seed", lambda _: done.append("seeded"))
    assert state.restore_random(tree, runtime)
    assert done == ["restored", "seeded"]


def test_glances_come_in_time_however_short_epochs_are() -> None:
    """The clock is looked at after a number of steps, of as many epochs as it takes."""
    together, now = Together(Runtime(RuntimeOptions(device="cpu", threads=1)), "train", {}), 0.0
    pauses = []
    for step in range(1, 1001):
        now += 0.01 if step % 5 else 0.05  # each epoch of five steps ends with a validation
        if together.due():
            together.pace(now, 0.1)
            pauses.append(together.pause)
    assert set(pauses[5:]) <= {4, 5, 6, 7, 8, 9, 10}


def test_leaving_ends_the_group() -> None:
    processes.leave()  # where there is none
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    processes.leave()
    assert not torch.distributed.is_initialized()
