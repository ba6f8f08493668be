"""One update of the weights: backward, clipping, step; in micro-batches where memory demands it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from dlkit.errors import PluginError, TrainingError
from dlkit.runtime.processes import Processes
from dlkit.shortage import MEMORY_ADVICE, out_of_memory

LossFunction = Callable[..., Tensor | Mapping[str, Tensor]]


class Updater:
    """Applies updates. ``fit`` sets how; the size of micro-batches that was found to fit is kept.

    Among several processes each computes its share of the rows, and gradients and figures are added up, weighted by
    shares: the micro-batches of one process, spread over many.

    Attributes:
        clip: the largest norm of all gradients of an optimizer together, or None.
        accumulate: micro-batches per update that were asked for.
        independent: the loss is a mean over independent samples, so micro-batches may be made smaller.
        limit: samples per micro-batch after running out of memory, or None.
    """

    def __init__(
        self,
        autocast: Callable[[], AbstractContextManager[Any]] | None,
        warn: Callable[[str], None],
        processes: Processes | None = None,
    ) -> None:
        self.autocast = autocast
        self.warn = warn
        self.processes = processes or Processes()
        self.clip: float | None = None
        self.accumulate = 1
        self.independent = False
        self.limit: int | None = None

    def __call__(
        self, optimizer: Optimizer, loss_fn: LossFunction, tensors: Sequence[Tensor | None]
    ) -> dict[str, Tensor]:
        """See :meth:`dlkit.runtime.Runtime.update`."""
        if self.processes.count == 1:
            values = self._computed(optimizer, loss_fn, tensors)
        else:
            values = self._divided(optimizer, loss_fn, tensors)
        if self.clip is not None:
            torch.nn.utils.clip_grad_norm_(_parameters(optimizer), self.clip)
        optimizer.step()
        return values

    def _divided(
        self, optimizer: Optimizer, loss_fn: LossFunction, tensors: Sequence[Tensor | None]
    ) -> dict[str, Tensor]:
        """The gradients of all rows, of which this process computes its share; all of them where there are too few."""
        sizes = {tensor.shape[0] for tensor in tensors if tensor is not None}
        count, weight = min(sizes, default=0), 1 / self.processes.count
        if len(sizes) == 1 and count >= self.processes.count:
            rows = self.processes.share(count)
            weight = (rows.stop - rows.start) / count
            tensors = [None if tensor is None else tensor[rows] for tensor in tensors]
        values = self._computed(optimizer, loss_fn, tensors)
        parameters = [parameter for parameter in _parameters(optimizer) if parameter.requires_grad]
        self._add_up(parameters, values, weight)
        return values

    def _add_up(self, parameters: Sequence[Tensor], values: dict[str, Tensor], weight: float) -> None:
        """Sum gradients and figures over the processes. One that has no gradient somewhere takes what others found."""
        missing = [index for index, parameter in enumerate(parameters) if parameter.grad is None]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        there = torch.ones(len(parameters), device=parameters[0].device)
        there[missing] = 0.0
        torch._foreach_mul_(gradients, weight)
        values |= {name: value.float() * weight for name, value in values.items()}
        self.processes.total([*gradients, *values.values(), there])
        for index in missing:
            if there[index] > 0:
                parameters[index].grad = gradients[index]

    def _computed(
        self, optimizer: Optimizer, loss_fn: LossFunction, tensors: Sequence[Tensor | None]
    ) -> dict[str, Tensor]:
        """Gradients and figures, in smaller parts where memory does not suffice."""
        while True:
            try:
                return self._gradients(optimizer, loss_fn, tensors)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                shortage = str(error)
            # Outside the handler: the traceback, which holds the activations, is gone now.
            optimizer.zero_grad()
            self._back_off(_count(tensors), shortage)

    def _gradients(
        self, optimizer: Optimizer, loss_fn: LossFunction, tensors: Sequence[Tensor | None]
    ) -> dict[str, Tensor]:
        optimizer.zero_grad()
        if self.limit is None and self.accumulate == 1:
            return self._backward(loss_fn, tensors, None)
        count = _count(tensors)
        size = self._micro_size(count)
        totals: dict[str, Tensor] = {}
        for start in range(0, count, size):
            part = [None if tensor is None else tensor[start : start + size] for tensor in tensors]
            weight = min(size, count - start) / count
            for name, value in self._backward(loss_fn, part, weight).items():
                totals[name] = totals[name] + value * weight if name in totals else value * weight
        return totals

    def _backward(
        self, loss_fn: LossFunction, tensors: Sequence[Tensor | None], weight: float | None
    ) -> dict[str, Tensor]:
        if self.autocast is None:
            result = loss_fn(*tensors)
        else:
            with self.autocast():
                result = loss_fn(*tensors)
        loss = _loss_among(result)
        (loss if weight is None else loss * weight).backward()  # type: ignore[no-untyped-call]
        figures = {"loss": loss} if isinstance(result, Tensor) else result
        return {name: value.detach() for name, value in figures.items()}

    def _micro_size(self, count: int) -> int:
        asked = -(-count // self.accumulate)
        return asked if self.limit is None else min(asked, self.limit)

    def _back_off(self, count: int, shortage: str) -> None:
        """Halve the micro-batches.

        Raises:
            TrainingError: they cannot be halved.
        """
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        size = self._micro_size(count)
        if not self.independent:
            raise TrainingError(
                f"Out of memory at a batch of {count}: {shortage}\n"
                "Its samples depend on each other, so it cannot be computed in smaller parts.",
                MEMORY_ADVICE,
            )
        if size <= 1:
            raise TrainingError(f"Out of memory at a single sample: {shortage}", MEMORY_ADVICE)
        if self.limit is None:
            self.warn(
                f"Out of memory at {size} samples at once: updates are computed in smaller parts from now on, "
                "which gives the same result more slowly."
            )
        self.limit = size // 2


def _loss_among(result: object) -> Tensor:
    """The loss in what a loss function gave.

    Raises:
        PluginError: there is none, or nothing can be learned from it.
    """
    loss = result.get("loss") if isinstance(result, Mapping) else result
    if not isinstance(loss, Tensor):
        given = f"a dict of {', '.join(map(str, result)) or 'nothing'}" if isinstance(result, Mapping) else repr(result)
        raise PluginError(f"The loss function gave {given}; expected a scalar tensor, or a dict with one as 'loss'.")
    if loss.numel() != 1:
        raise PluginError(
            f"The loss is of shape {tuple(loss.shape)}; expected a scalar.", "A loss is a mean over samples: .mean()."
        )
    if not loss.requires_grad:
        raise PluginError(
            "The loss depends on no parameter, so that nothing can be learned from it.",
            "Compute it from what the network gives, with neither detach() nor no_grad() on the way.",
        )
    return loss


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _count(tensors: Sequence[Tensor | None]) -> int:
    sizes = {tensor.shape[0] for tensor in tensors if tensor is not None}
    if len(sizes) != 1:
        raise ValueError(f"update() in parts needs tensors with the same number of rows, got {sorted(sizes)}")
    return sizes.pop()


def in_parts(function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """``function(images)`` float32 on the CPU; halves of the images at a time, and so on, where memory is short."""
    try:
        return function(images).float().cpu()
    except (RuntimeError, MemoryError) as error:
        if len(images) < 2 or not out_of_memory(error):
            raise
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    half = len(images) // 2
    return torch.cat([in_parts(function, part) for part in (images[:half], images[half:])])
