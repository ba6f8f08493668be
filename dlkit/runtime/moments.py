"""An optimizer's state from a checkpoint, which may come from anyone: looked at before a step is made with it."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

_KNOWN = ("torch.optim.", "timm.optim.")


def restore_optimizer(optimizer: Optimizer, tree: Any) -> None:
    """Give an optimizer what a checkpoint kept of it.

    Raises:
        KeyError, RuntimeError, ValueError, TypeError, AttributeError: it is not of this optimizer.
    """
    before = [dict(group) for group in optimizer.param_groups]
    optimizer.load_state_dict(tree)
    for own, group in zip(before, optimizer.param_groups, strict=True):
        _check_group(own, group)
    _check_sizes(optimizer)
    _match_strides(optimizer)
    _rehearse(optimizer)


def _check_group(own: Mapping[str, Any], group: Mapping[str, Any]) -> None:
    for name, value in own.items():
        if name not in group:
            raise KeyError(name)
        if name != "params" and not _alike(value, group[name]):
            raise ValueError(f"the optimizer's {name} is {group[name]!r}")


def _alike(one: Any, other: Any) -> bool:
    """Whether the two may be values of one setting."""
    if one is None or other is None:  # what PyTorch decides where nobody does: foreach, fused
        return one is None or isinstance(one, bool)
    if isinstance(one, tuple | list):
        return isinstance(other, tuple | list) and len(one) == len(other) and all(map(_alike, one, other))
    numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in (one, other))
    return numbers or type(one) is type(other)


def _check_sizes(optimizer: Optimizer) -> None:
    """Fused kernels read and write as many numbers as the parameter has, whatever size a checkpoint's moments are.

    Raises:
        ValueError: one has another size.
    """
    if not any(group.get("fused") for group in optimizer.param_groups):
        return
    for parameter, entries in optimizer.state.items():
        for key, value in entries.items():
            if isinstance(value, Tensor) and value.shape != (() if key == "step" else parameter.shape):
                raise ValueError(f"{key} of shape {tuple(value.shape)} for weights of {tuple(parameter.shape)}")


def _match_strides(optimizer: Optimizer) -> None:
    """Lay out restored moments like their parameters.

    A checkpoint is contiguous, parameters may be channels_last, and fused kernels walk through both in memory
    order without looking at strides.
    """
    for parameter, entries in optimizer.state.items():
        for key, value in entries.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.stride() != parameter.stride():
                entries[key] = torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)


def _rehearse(optimizer: Optimizer) -> None:
    """Make a step with a copy of each parameter and of its moments: what misses would be found out in the middle of a
    step otherwise, and which moments there are only the optimizer knows."""
    if not type(optimizer).__module__.startswith(_KNOWN):
        return
    probe = copy.copy(optimizer)
    for group in optimizer.param_groups:
        settings = {key: value for key, value in group.items() if key != "params"}
        for parameter in filter(optimizer.state.get, group["params"]):
            twin = nn.Parameter(parameter.detach().clone())
            twin.grad = torch.zeros_like(twin)
            probe.param_groups = [{**copy.deepcopy(settings), "params": [twin]}]  # some count steps there
            probe.state = defaultdict(dict, {twin: copy.deepcopy(optimizer.state[parameter])})
            probe.step()
