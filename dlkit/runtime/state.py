"""What ``fit`` saves and restores: networks, optimizers, plain tensors, random number generators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from dlkit.runtime.moments import restore_optimizer

if TYPE_CHECKING:
    from dlkit.runtime.runtime import Runtime

Tree = dict[str, Any]


def capture(state: Mapping[str, Any]) -> Tree:
    """Name → state dict, or the tensor itself. Nothing is copied."""
    return {name: item if isinstance(item, Tensor) else item.state_dict() for name, item in state.items()}


def restore(state: Mapping[str, Any], tree: Mapping[str, Any]) -> None:
    """The inverse of :func:`capture`, in place.

    Raises:
        KeyError: ``tree`` lacks an entry of ``state``.
        RuntimeError, ValueError, TypeError, AttributeError: an entry does not fit.
    """
    for name, item in state.items():
        if isinstance(item, Tensor):
            with torch.no_grad():
                item.copy_(tree[name])
        elif isinstance(item, Optimizer):
            restore_optimizer(item, tree[name])
        else:
            item.load_state_dict(tree[name])


def learned(state: Mapping[str, Any]) -> dict[str, Any]:
    """The part that ``best`` keeps: networks and tensors, no optimizers."""
    return {name: item for name, item in state.items() if isinstance(item, nn.Module | Tensor)}


def check(state: Mapping[str, Any], tree: Mapping[str, Any]) -> None:
    """See whether :func:`restore` could put the tensors of ``tree`` into ``state``.

    Raises:
        ValueError, AttributeError: names or shapes differ, or it is no tree.
    """
    own, kept = ({name: tuple(tensor.shape) for name, tensor in named_tensors(each)} for each in (capture(state), tree))
    if own != kept:
        name, shape = min(own.items() ^ kept.items())
        raise ValueError(f"the best weights are others: {name} of shape {shape}")


def copy(tree: Any) -> Any:
    """A nested state with its tensors copied to the CPU."""
    if isinstance(tree, Tensor):
        return tree.detach().to("cpu", copy=True)
    if isinstance(tree, Mapping):
        return {key: copy(value) for key, value in tree.items()}
    return tree


def named_tensors(tree: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Tensor]]:
    """``{"net": {"0.weight": w}}`` → ``("net.0.weight", w)``."""
    for key, value in tree.items():
        if isinstance(value, Tensor):
            yield f"{at}{key}", value
        elif isinstance(value, Mapping):
            yield from named_tensors(value, f"{at}{key}.")


def poisoned(state: Mapping[str, Any]) -> str | None:
    """The name of a parameter with a value that is not finite, or None."""
    for name, item in state.items():
        if isinstance(item, nn.Module):
            for key, parameter in item.named_parameters():
                # A sum is one fast pass and finite wherever all terms are; only a suspect is looked at closely.
                if not parameter.detach().sum().isfinite() and not parameter.detach().isfinite().all():
                    return f"{name}.{key}"
    return None


def training_modes(state: Mapping[str, Any]) -> dict[nn.Module, bool]:
    """Which modules are in training mode, so that validation may leave them in another."""
    return {part: part.training for item in state.values() if isinstance(item, nn.Module) for part in item.modules()}


def capture_random(runtime: Runtime) -> Tree:
    """The states of PyTorch's own generators, in each process where there are several, and of the training stream."""
    device, each = runtime.device, runtime.processes.each
    tree: Tree = {"device": device.type, "cpu": torch.get_rng_state(), "rng": runtime.rng.get_state()}
    if device.type == "cuda":
        tree["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        tree["mps"] = torch.mps.get_rng_state()
    if runtime.processes.count > 1:
        tree |= {name: torch.stack(each(tree[name])) for name in ("cpu", "cuda") if name in tree}
    return tree


def restore_random(tree: Tree, runtime: Runtime) -> bool:
    """The inverse of :func:`capture_random`; False where the streams of another device could not be restored."""
    device, rank = runtime.device, runtime.processes.rank
    own = {name: _row(tree[name], rank) for name in ("cpu", "cuda") if name in tree}
    torch.set_rng_state(own["cpu"])
    same = bool(tree["device"] == device.type)
    if same:
        runtime.rng.set_state(tree["rng"])
        if device.type == "cuda":
            torch.cuda.set_rng_state(own["cuda"], device)
        elif device.type == "mps":
            torch.mps.set_rng_state(tree["mps"])
    if rank > 0 and processes_of(tree) != runtime.processes.count:  # a stream of its own, as Together.begin gives it
        torch.manual_seed(runtime.derive("process", rank))  # on all devices
    return same


def processes_of(tree: Tree) -> int:
    """How many processes' streams were captured."""
    return len(tree["cpu"]) if tree["cpu"].ndim == 2 else 1


def _row(states: Tensor, rank: int) -> Tensor:
    """A process's own state, or the first one's where fewer were captured."""
    # A copy: PyTorch reads a state from the beginning of its storage, whichever row it is.
    return states if states.ndim == 1 else states[rank if rank < len(states) else 0].clone()
