"""How much memory training is going to take, without training: for ``--dry-run``, and to refuse what cannot fit."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.optim import Optimizer

from dlkit.data.memory import available_memory
from dlkit.errors import TrainingError
from dlkit.options import TrainOptions

_SMALL = 64 << 20
"""Bytes of weights that are trained without a look at the memory."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that training keeps at its peak, the framework itself (0.3–0.5 GB) not counted.

    Attributes:
        weights: parameters and buffers.
        gradients: of the parameters that are trained.
        optimizer: its state.
        activations: what backward needs of one batch; None where a forward pass on images alone is impossible.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int | None

    @property
    def total(self) -> int:
        """The sum of what is known."""
        return self.weights + self.gradients + self.optimizer + (self.activations or 0)


def count_parameters(module: nn.Module) -> tuple[int, int]:
    """How many numbers are trained, and how many are frozen (shared parameters count once)."""
    trainable = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
    return trainable, sum(parameter.numel() for parameter in module.parameters()) - trainable


def estimate_memory(
    modules: Iterable[nn.Module], input_shape: Sequence[int], batch_size: int, options: TrainOptions
) -> MemoryEstimate:
    """What training these modules takes, counted on copies that have shapes but no memory.

    Args:
        modules: those that take part.
        input_shape: ``(C, H, W)`` of one image.
        batch_size: images per update, or per micro-batch where updates are split.
        options: name the optimizer, whose state is measured on a small parameter.
    """
    group = nn.ModuleList(modules)
    weights = {tensor for tensor in [*group.parameters(), *group.buffers()]}  # noqa: C416 (shared ones once)
    trained = [parameter for parameter in group.parameters() if parameter.requires_grad]
    gradients = sum(parameter.nbytes for parameter in trained)
    parts = [_activations(module, (batch_size, *input_shape)) for module in group]
    known = [part for part in parts if part is not None]
    return MemoryEstimate(
        weights=sum(tensor.nbytes for tensor in weights),
        gradients=gradients,
        optimizer=round(gradients * _state_per_parameter(options)) if trained else 0,
        activations=sum(known) if known else None,
    )


def foresee(optimizer: Optimizer, options: TrainOptions) -> None:
    """Refuse a training whose gradients and moments will not fit into the machine's memory: without swap the system
    would kill it at the first step, without a word. Other devices say so themselves.

    Args:
        optimizer: it has not made a step.
        options: that it was made by.

    Raises:
        TrainingError: with what is needed and what there is.
    """
    trained = [each for group in optimizer.param_groups for each in group["params"] if each.requires_grad]
    size = sum(each.nbytes for each in trained if each.device.type == "cpu")
    if size <= _SMALL:
        return
    needed, free = size * (1 + _state_per_parameter(options)), available_memory()
    if needed > free:
        raise TrainingError(
            f"Training {size // 4:,} weights takes {needed / 2**20:,.1f} MiB for gradients and the optimizer's state; "
            f"{free / 2**20:,.1f} MiB of memory are free.",
            "Make the network smaller (fewer or narrower layers, smaller images); --dry-run tells what it takes.",
        )


def _state_per_parameter(options: TrainOptions) -> float:
    """Bytes of optimizer state per byte of parameter."""
    from dlkit.runtime.optimizers import make_optimizer

    parameter = nn.Parameter(torch.zeros(64, 64))
    optimizer = make_optimizer([parameter], options, {})
    parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    state: Mapping[str, object] = optimizer.state[parameter]
    kept = sum(value.nbytes for value in state.values() if isinstance(value, Tensor) and value.numel() > 1)
    return kept / parameter.nbytes


def _activations(module: nn.Module, shape: tuple[int, ...]) -> int | None:
    """Bytes that autograd saves in a forward pass, parameters not counted."""
    weights: dict[int, Any] = {id(p): nn.Parameter(p.to("meta"), p.requires_grad) for p in module.parameters()}
    shadow = copy.deepcopy(module, weights | {id(buffer): buffer.to("meta") for buffer in module.buffers()}).to("meta")
    own = {tensor.untyped_storage()._cdata for tensor in [*shadow.parameters(), *shadow.buffers()]}
    images = torch.empty(shape, device="meta")
    saved: dict[int, Tensor] = {}  # keeps them alive, so that addresses stay unique

    def keep(tensor: Tensor) -> Tensor:
        address = tensor.untyped_storage()._cdata
        if address not in own:
            saved[address] = tensor
        return tensor

    try:
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            shadow(images)
    except (RuntimeError, TypeError, ValueError, NotImplementedError, IndexError):
        return None
    return sum(tensor.untyped_storage().nbytes() for tensor in saved.values())
