"""Threads that play processes: what is divided and told, without starting any."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, local
from typing import Any

import pytest
import torch
from torch import Tensor

from dlkit.runtime import processes as module
from dlkit.runtime.processes import Processes


class Wire:
    """Carries messages between threads that play processes."""

    def __init__(self, count: int) -> None:
        self.count, self.barrier, self.sent = count, Barrier(count), dict[int, list[Tensor]]()

    def exchange(self, rank: int, how: str, tensors: Sequence[Tensor]) -> None:
        self.sent[rank] = [tensor.detach().clone() for tensor in tensors]
        self.barrier.wait()
        for place, tensor in enumerate(tensors):
            each = [self.sent[other][place] for other in range(self.count)]
            tensor.detach().copy_(torch.stack(each).sum(0) if how == "all_reduce" else each[0])
        self.barrier.wait()


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """``together(count, function)``: what ``function(processes)`` gives in each of ``count`` threads."""

    def run(count: int, function: Callable[[Processes], Any]) -> list[Any]:
        wire, here = Wire(count), local()
        monkeypatch.setattr(module, "_exchange", lambda how, tensors, **_: wire.exchange(here.rank, how, tensors))

        def play(rank: int) -> Any:
            here.rank = rank
            return function(Processes(rank, count))

        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(play, range(count)))

    return run
