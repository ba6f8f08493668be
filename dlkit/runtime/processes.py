"""The processes that train together, and what they tell one another.

Every process runs the same technique on the same batches with the same draws, so that a technique needs to know of no
other. The work is divided where :meth:`dlkit.runtime.Runtime.update` computes gradients: each process takes its share
of a batch's rows, and what they find is added up. What depends on clocks, signals and files is decided by the first
process, and told to the others.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any

import torch
from torch import Tensor

from dlkit import ranks
from dlkit.errors import LostProcess, UsageError

_PATIENCE = timedelta(days=1)
"""The others wait while the first validates or writes; that one has died is noticed at once all the same."""


class Processes:
    """This process among ``count``. Alone, each method gives back what it was given.

    Args:
        rank: its number, from 0.
        count: of all processes.

    Attributes:
        leads: whether it is the first, which writes and speaks.
        shared: whether anything has been divided among the processes so far.
    """

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        self.rank, self.count = rank, count
        self.leads = rank == 0
        self.shared = False

    def share(self, rows: int) -> slice:
        """Which of so many rows are this process's."""
        return slice(rows * self.rank // self.count, rows * (self.rank + 1) // self.count)

    def total(self, tensors: Sequence[Tensor]) -> None:
        """Add up tensors over all processes, in place; each has as many, of the same shapes, in the same order.

        Raises:
            LostProcess: another process has ended. So do all methods below.
        """
        if self.count > 1:
            self.shared = True
            _exchange("all_reduce", tensors)

    def mean(self, tensors: Sequence[Tensor]) -> None:
        """The same, divided by the number of processes."""
        if self.count > 1:
            _exchange("all_reduce", tensors)
            torch._foreach_div_(list(tensors), self.count)

    def whole(self, part: Tensor, rows: int) -> Tensor:
        """All ``rows``, of which each process gives its share, ``(rows, …)``."""
        if self.count == 1:
            return part
        found = part.new_zeros(rows, *part.shape[1:])
        found[self.share(rows)] = part
        self.total([found])
        return found

    def each(self, value: Tensor) -> list[Tensor]:
        """Every process's value; all have the same shape."""
        if self.count == 1:
            return [value]
        values = value.new_zeros(self.count, *value.shape)
        values[self.rank] = value
        _exchange("all_reduce", [values])
        return list(values)

    def alike(self, tensors: Sequence[Tensor]) -> None:
        """Take over the first process's values, in place."""
        if self.count > 1:
            _exchange("broadcast", tensors, src=0)

    def agreed(self, number: float) -> float:
        """The first process's number."""
        if self.count == 1:
            return number
        told = torch.tensor(number, dtype=torch.float64)
        self.alike([told])
        return float(told)

    def largest(self, number: int) -> int:
        """The largest number of any process."""
        return max(int(each) for each in self.each(torch.tensor(number))) if self.count > 1 else number

    def first(self, make: Callable[[], Any]) -> Any:
        """What ``make`` gives on the first process, plain JSON; the others wait, and are told."""
        if self.count == 1:
            return make()
        text = b""
        if self.leads:
            with self.aside():
                text = json.dumps(make()).encode()
        letters = torch.zeros(int(self.agreed(len(text))), dtype=torch.uint8)
        if self.leads:
            letters.copy_(torch.frombuffer(bytearray(text), dtype=torch.uint8))
        self.alike([letters])
        return json.loads(letters.numpy().tobytes())

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Act alone while this lasts."""
        rank, count = self.rank, self.count
        self.rank, self.count = 0, 1
        try:
            yield
        finally:
            self.rank, self.count = rank, count


def join() -> Processes:
    """Find the other processes, where a launcher has started several; alone otherwise.

    Raises:
        UsageError: this PyTorch cannot connect processes.
        LostProcess: they cannot be found.
    """
    if ranks.count() == 1:
        return Processes()
    _connect()
    return Processes(ranks.rank(), ranks.count())


def leave() -> None:
    """Part from the other processes, where all have come to their end, as NCCL wants it."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
        _connect.cache_clear()


def speaks_first() -> bool:
    """Whether none of the processes has asked this before; where they have not met, whether this is the first."""
    if _connect.cache_info().currsize == 0:
        return ranks.rank() == 0
    try:
        return bool(_connect().add("dlkit/spoken", 1) == 1)
    except RuntimeError:  # whoever kept the count has ended
        return True


@cache
def _connect() -> Any:
    """Meet, once; where the processes leave word for one another."""
    distributed = torch.distributed
    if not distributed.is_available():
        raise UsageError(f"PyTorch {torch.__version__} is installed without torch.distributed.", "Use --devices 1.")
    # Each message takes the way of its tensor: gradients on GPUs by NCCL, everything else by gloo.
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and distributed.is_nccl_available() else "gloo"
    from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

    served = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    try:
        server = TCPStore(
            os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=ranks.rank() == 0 and not served
        )
        # A launcher goes on with its store when it starts processes again, and what those that died wrote there is
        # still there. One that rank 0 serves is new.
        store = PrefixStore(f"dlkit/{ranks.restarts() if served else 0}", server)
        distributed.init_process_group(
            backend,
            store=store,
            rank=ranks.rank(),
            world_size=ranks.count(),
            timeout=_PATIENCE,
        )
    except (RuntimeError, ValueError, KeyError) as error:
        raise LostProcess(f"The processes that train together cannot find one another: {error}") from error
    return store


def _exchange(how: str, tensors: Sequence[Tensor], **arguments: Any) -> None:
    """Send and receive tensors in place, in one message per kind of number."""
    for kind in dict.fromkeys((tensor.dtype, tensor.device) for tensor in tensors):
        same = [tensor.detach() for tensor in tensors if (tensor.dtype, tensor.device) == kind]
        flat = torch.cat([tensor.reshape(-1) for tensor in same])
        try:
            getattr(torch.distributed, how)(flat, **arguments)
        except RuntimeError as error:
            raise LostProcess(f"A process that trains together with others has lost one of them: {error}") from error
        pieces = torch.split(flat, [tensor.numel() for tensor in same])
        torch._foreach_copy_(same, [piece.view(of.shape) for piece, of in zip(pieces, same, strict=True)])
