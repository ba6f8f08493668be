"""Weights files: reading them without executing anything, and copying them into a network, all or nothing."""

from __future__ import annotations

import pickle
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from dlkit.errors import DataError
from dlkit.files import user_path

_WRAPPERS = ("state_dict", "model", "model_state_dict", "network", "net", "weights")
"""Keys under which training scripts keep the weights beside their optimizer."""

_SHOWN = 5
"""So many keys are listed; the rest are counted."""


@dataclass(frozen=True)
class WeightsFile:
    """Tensors by name, and what the file says about itself (safetensors only)."""

    path: str
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The file's name, for what is kept of it: its path is this machine's own."""
        return Path(self.path).name


def read_metadata(path: str) -> dict[str, str]:
    """What a safetensors file says about itself; empty for other files. Reads no tensors.

    Raises:
        DataError: there is no such file, or it is broken.
    """
    file = _existing(path)
    if file.suffix != ".safetensors":
        return {}
    try:
        with safe_open(file, "pt") as opened:
            return dict(opened.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise _broken(path, error) from error


def read_weights(path: str) -> WeightsFile:
    """The tensors of a safetensors file, or of a state dict that ``torch.save`` wrote.

    Raises:
        DataError: there is no such file, it is broken, or it holds anything but tensors and plain values. Nothing in
            it is executed.
    """
    file = _existing(path)
    if file.suffix == ".safetensors":
        metadata = read_metadata(path)
        return WeightsFile(path, load_file(file), metadata)
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(
            f"{path!r} is refused: it holds objects that would have to be executed to be read, not only tensors.",
            "Ask for its state dict as safetensors; or, where you trust it, convert it: "
            "safetensors.torch.save_file(model.state_dict(), ...).",
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, AttributeError, TypeError, IndexError) as error:
        raise _broken(path, error) from error
    tensors = _state_dict(content)
    if not tensors:
        raise DataError(
            f"{path!r} holds no state dict: no tensors by name, neither at its top nor under {', '.join(_WRAPPERS)}."
        )
    return WeightsFile(path, tensors)


def _existing(path: str) -> Path:
    file = user_path(path)
    if not file.is_file():
        raise DataError(f"There is no file of weights {path!r}.", "--weights takes a .safetensors or .pth file.")
    return file


def _broken(path: str, error: Exception) -> DataError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return DataError(f"The weights {path!r} cannot be read: {reason}.", "Is it a whole .safetensors or .pth file?")


def _state_dict(content: Any) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        return {}
    for key in _WRAPPERS:
        if isinstance(content.get(key), Mapping):
            return _state_dict(content[key])
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def load_weights(network: nn.Module, file: WeightsFile, classifier: Collection[str]) -> tuple[bool, tuple[str, ...]]:
    """Copy a file's weights into a network: all but its classifier must be there.

    Args:
        network: is changed.
        file: the weights.
        classifier: names of the network's tensors that belong to its source classifier.

    Returns:
        Whether the classifier's weights are in the network too; and what the user should know.

    Raises:
        DataError: nothing matches, tensors are missing, or have other shapes.
    """
    own = network.state_dict()
    given = _renamed(file.tensors, own)
    missing = [name for name in own if name not in given and not name.endswith("num_batches_tracked")]
    shapes = {name: (tuple(given[name].shape), tuple(own[name].shape)) for name in own if name in given}
    other = [name for name, (has, needs) in shapes.items() if has != needs]
    if not shapes:
        raise DataError(
            f"{file.path!r} has no weights of this network: none of its {len(given)} names matches. "
            f"It has {_some(given)}; the network has {_some(own)}.",
            "Is it of another architecture? --backbone names the one that it was trained with.",
        )
    _refuse([name for name in missing if name not in classifier], "lacks", file.path, len(shapes))
    wrong = {name: shapes[name] for name in other if name not in classifier}
    described = [f"{name} {list(has)} in place of {list(needs)}" for name, (has, needs) in wrong.items()]
    _refuse(described, "has other shapes:", file.path, len(shapes))
    dropped = sorted({*missing, *other} & set(classifier))
    network.load_state_dict({name: given[name] for name in shapes if name not in dropped}, strict=False)
    unexpected = [name for name in given if name not in own]
    return not dropped, tuple(_notices(file.name, dropped, shapes, unexpected))


def _notices(name: str, dropped: list[str], shapes: Mapping[str, Any], unexpected: list[str]) -> Iterable[str]:
    if dropped:
        has = shapes.get(dropped[-1])
        why = f"is of another size ({has[0][0]} outputs in place of {has[1][0]})" if has else "is not there"
        yield f"The classifier of {name} {why}; it is left out, the rest is used."
    if unexpected:
        yield f"{name} has {len(unexpected)} tensors that the network has not, which are not used: {_some(unexpected)}."


def _refuse(names: list[str], what: str, path: str, matched: int) -> None:
    if names:
        raise DataError(
            f"{path!r} {what} {len(names)} of the network's tensors: {_some(names)} ({matched} names match). "
            "A network that is partly random is of no use.",
            "Is it of this --backbone, built with the same --backbone-arg?",
        )


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more


def _renamed(tensors: Mapping[str, Tensor], own: Collection[str]) -> Mapping[str, Tensor]:
    """The tensors without the prefix that DataParallel, torch.compile or a wrapper put before the names, if any."""
    ends = tuple(own)[:1]
    prefixes = ["", *(name.removesuffix(end) for end in ends for name in tensors if name.endswith(f".{end}"))]

    def matches(prefix: str) -> int:
        return sum(prefix + name in tensors for name in own)

    best = max(prefixes, key=matches)  # the first of equals: none, if it makes no difference
    return {name.removeprefix(best): tensor for name, tensor in tensors.items()}
