"""Nested state as one safetensors file: tensors as tensors, the rest as JSON in its metadata. Never a pickle."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dlkit.errors import DataError
from dlkit.files import atomic_path

_KEY = "dlkit"


def write_checkpoint(path: Path, tree: Any) -> None:
    """Write a nested state (dicts, lists, tuples, tensors, plain values) atomically.

    Raises:
        TypeError: a value that is none of these, with its place in the tree.
        DlkitError: the file cannot be written; the one before it is intact.
    """
    tensors: dict[str, Tensor] = {}
    plain = flatten(tree, tensors)
    write_tensors(path, tensors, {_KEY: json.dumps(plain)})


def read_checkpoint(path: Path) -> Any:
    """The inverse of :func:`write_checkpoint`; tensors are on the CPU, each with memory of its own.

    Raises:
        DataError: the file is damaged, or something else wrote it.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            plain = json.loads(file.metadata()[_KEY])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
        return unflatten(plain, tensors)
    except (SafetensorError, OSError, TypeError, KeyError, ValueError, AttributeError, RecursionError) as error:
        raise DataError(f"{path} is not a checkpoint of dlkit, or it is damaged: {error}") from error


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """A safetensors file, complete or not there at all, also after a power cut.

    Raises:
        DlkitError: the file cannot be written; the one before it is intact.
    """
    with atomic_path(path) as temporary:
        try:
            save_file(_separate(tensors), temporary, metadata)
        except SafetensorError as error:  # what the file system refuses is no OSError here, only its text
            code = re.search(r"(?:os error|code:) (\d+)", str(error))  # the wording of safetensors 0.5 too
            if code is None:
                raise
            raise OSError(int(code[1]), os.strerror(int(code[1]))) from error


def flatten(value: Any, tensors: dict[str, Tensor], at: str = "") -> Any:
    """The JSON form of a nested state; its tensors go into ``tensors``, each under its place in the tree.

    JSON has no tuples and no keys but strings, so: ``{"tuple": […]}``, ``{"dict": [[key, value], …]}``,
    ``{"tensor": name}``; lists and plain values stand for themselves.

    Raises:
        TypeError: a value of another type.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor):
        while at in tensors:  # {"a/b": …} beside {"a": {"b": …}}
            at += "+"
        tensors[at] = value.detach()
        return {"tensor": at}
    if isinstance(value, Mapping):
        return {"dict": [[flatten(key, tensors), flatten(item, tensors, f"{at}/{key}" if at else str(key))]
                         for key, item in value.items()]}  # fmt: skip
    if isinstance(value, list | tuple):
        items = [flatten(item, tensors, f"{at}/{index}") for index, item in enumerate(value)]
        return {"tuple": items} if isinstance(value, tuple) else items
    raise TypeError(f"a checkpoint cannot hold {type(value).__name__} at {at!r}: only tensors and plain values")


def unflatten(plain: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The inverse of :func:`flatten`."""
    if isinstance(plain, list):
        return [unflatten(item, tensors) for item in plain]
    if not isinstance(plain, dict):
        return plain
    ((kind, content),) = plain.items()
    if kind == "tensor":
        return tensors[content].clone()
    if kind == "tuple":
        return tuple(unflatten(item, tensors) for item in content)
    return {unflatten(key, tensors): unflatten(item, tensors) for key, item in content}


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous, on the CPU, none sharing memory with another (tied weights): what safetensors demands."""
    seen: set[int] = set()
    result: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        copy = tensor.cpu().contiguous()
        storage = copy.untyped_storage()
        if storage.data_ptr() in seen or storage.nbytes() != copy.nbytes:
            copy = copy.clone(memory_format=torch.contiguous_format)
        seen.add(copy.untyped_storage().data_ptr())
        result[name] = copy
    return result
