"""Room for a network: what would not fit is refused before it takes memory, whatever package builds it."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from dlkit.data.memory import available_memory
from dlkit.errors import UsageError

_UNSAFE_VIEW = torch.ops.aten._unsafe_view.default
"""Takes a size and makes nothing, though its schema has it otherwise."""


class Room(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what tensors made within the block hold of the CPU's memory, and refuses what goes beyond.

    It lies below all of PyTorch's functions. A tensor counts until it is gone; views, and tensors on the device
    ``meta``, take nothing.

    Args:
        most: bytes.
        refusal: from the bytes that would be held to the error.
    """

    def __init__(self, most: int, refusal: Callable[[int], Exception]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._most, self._refusal = most, refusal
        self._held = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """What PyTorch calls for each of its operations."""
        schema, kwargs = func._schema, kwargs or {}
        if schema.is_mutable or any(each.alias_info is not None for each in schema.returns):
            return func(*args, **kwargs)
        given = {argument.name: value for argument, value in zip(schema.arguments, args, strict=False)} | kwargs
        if "size" in given and func is not _UNSAFE_VIEW and (given.get("device") or torch.device("cpu")).type == "cpu":
            self._check(math.prod(given["size"]) * (given.get("dtype") or torch.get_default_dtype()).itemsize)
        made = func(*args, **kwargs)
        for each in made if isinstance(made, tuple | list) else (made,):
            if isinstance(each, Tensor) and each.device.type == "cpu":
                self._count(each.untyped_storage())
        self._check(0)
        return made

    def _check(self, more: int) -> None:
        if self._held + more > self._most:
            raise self._refusal(self._held + more)

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._known:
            self._known.add(key)
            self._held += size
            weakref.finalize(storage, self._forget, key, size).atexit = False

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._held -= size


def free_room() -> Room:
    """All that is free; what goes beyond would swap, or be killed."""
    free = available_memory()

    def refusal(wanted: int) -> UsageError:
        return UsageError(
            f"The networks would take {wanted / 2**30:.1f} GiB or more; {free / 2**30:.1f} GiB of memory are free.",
            "Make them smaller: fewer or narrower layers, smaller images.",
        )

    return Room(free, refusal)
