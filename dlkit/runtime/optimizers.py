"""Optimizers by name: PyTorch's first, then timm's."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from dlkit.errors import UsageError
from dlkit.options import TrainOptions

_REFUSED = {
    "lbfgs": "it evaluates the loss several times per step",
    "sparseadam": "it needs sparse gradients",
}

Parameters = Iterable[Tensor] | Iterable[Mapping[str, Any]]


def make_optimizer(parameters: Parameters, options: TrainOptions, overrides: Mapping[str, Any]) -> Optimizer:
    """The optimizer that ``options.optimizer`` names, with its ``lr``, ``weight_decay`` and ``momentum``.

    Upper and lower case are the same; ``nesterov`` is SGD with Nesterov's momentum. PyTorch's are fused (one
    kernel for all parameters) where the device has that. ``overrides`` are further arguments (``betas=(0.5, 0.999)``,
    ``lr``…), which win over the options.

    Raises:
        UsageError: neither PyTorch nor timm has such an optimizer, or it refuses these parameters or arguments.
    """
    listed = list(parameters)
    name = options.optimizer.lower()
    if name in _REFUSED:
        raise UsageError(f"--optimizer {name} cannot be used here: {_REFUSED[name]}.", "Try adam, adamw or sgd.")
    settings = {"lr": options.lr, "weight_decay": options.weight_decay, "momentum": options.momentum}
    if options.lr is None:  # a technique whose rate depends on its other options gives it in `overrides`
        del settings["lr"]
    try:
        if name == "nesterov":
            return _from_torch(torch.optim.SGD, listed, {**settings, "nesterov": True, **overrides})
        if name in (known := _torch_optimizers()):
            return _from_torch(known[name], listed, {**settings, **overrides})
        return _from_timm(name, listed, {**settings, **overrides})
    except (TypeError, ValueError) as error:
        raise UsageError(f"--optimizer {options.optimizer}: {error}") from error


def _torch_optimizers() -> dict[str, type[Optimizer]]:
    """Lower-case name → class."""
    return {
        name.lower(): item
        for name, item in vars(torch.optim).items()
        if inspect.isclass(item) and issubclass(item, Optimizer) and item is not Optimizer
    }


def _from_torch(cls: type[Optimizer], parameters: list[Any], settings: dict[str, Any]) -> Optimizer:
    accepted = inspect.signature(cls.__init__).parameters
    if "momentum" not in accepted:
        settings.pop("momentum")
    make: Any = cls
    if "fused" in accepted and "fused" not in settings:
        try:
            fused: Optimizer = make(_groups(parameters), fused=True, **settings)
        except RuntimeError:  # this device has no fused kernel for it
            pass
        else:
            return fused
    optimizer: Optimizer = make(_groups(parameters), **settings)
    return optimizer


def _from_timm(name: str, parameters: list[Any], settings: dict[str, Any]) -> Optimizer:
    import timm.optim  # seconds: only when a name is not PyTorch's

    names = timm.optim.list_optimizers()
    if name not in names:
        everything = sorted({*names, *_torch_optimizers(), "nesterov"} - {*_REFUSED})
        close = difflib.get_close_matches(name, everything, n=3)
        raise UsageError(
            f"--optimizer {name}: neither PyTorch nor timm has it.",
            f"Did you mean {' or '.join(close)}?" if close else "Common ones: adam, adamw, sgd, rmsprop, lamb, lion.",
        )
    optimizer: Optimizer = timm.optim.create_optimizer_v2(_groups(parameters), opt=name, **settings)
    return optimizer


def _groups(parameters: list[Any]) -> list[Any]:
    """Optimizers write into the groups that they are given; these are copies."""
    return [dict(item) if isinstance(item, Mapping) else item for item in parameters]
