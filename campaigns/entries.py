"""Every entry of a run's files, changed: what a stranger, or an editor, makes of it."""

from __future__ import annotations

import copy
import hashlib
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tomli_w
import torch
from safetensors.torch import load_file, save_file

from dlkit.runtime.checkpoint import read_checkpoint, write_checkpoint

Place = tuple[Any, ...]
WAYS = ("dropped", "renamed", "nothing", "retyped", "reshaped", "grown")
USED = ("model.safetensors", "model.json", "data.json", "config.toml")
SHOWN = ("status.json", "environment.json", "evaluation.json", "data-problems.json", "plots/index.json")


def files(run: Path) -> list[str]:
    """Those of a run's files whose entries can be changed."""
    checkpoints = [path.relative_to(run).as_posix() for path in sorted(run.glob("checkpoints/*/last.safetensors"))]
    return [*checkpoints, *(name for name in (*USED, *SHOWN) if (run / name).is_file())]


def read(run: Path, name: str) -> Any:
    """A file as nested lists and dicts of tensors and plain values."""
    path = run / name
    if name.startswith("checkpoints/"):
        return read_checkpoint(path)
    if path.suffix == ".safetensors":
        return dict(load_file(path))
    return tomllib.loads(path.read_text()) if path.suffix == ".toml" else json.loads(path.read_text())


def write(run: Path, name: str, tree: Any) -> None:
    """The inverse of :func:`read`; a model's JSON names its tensors' digest again.

    Raises:
        TypeError, ValueError: no such file can hold this.
    """
    path = run / name
    if name.startswith("checkpoints/"):
        write_checkpoint(path, tree)
    elif path.suffix == ".safetensors":
        save_file(tree, path)
        plain = json.loads((run / "model.json").read_text())
        plain["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        (run / "model.json").write_text(json.dumps(plain))
    else:
        path.write_text(tomli_w.dumps(tree) if path.suffix == ".toml" else json.dumps(tree))


def changes(run: Path) -> Iterator[tuple[str, Place, str]]:
    """All that there are: file, place, way."""
    for name in files(run):
        for place in places(read(run, name)):
            yield from ((name, place, way) for way in WAYS)


def places(tree: Any, at: Place = ()) -> Iterator[Place]:
    """Where entries are, nested ones too."""
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list | tuple) else ()
    for key, value in entries:
        yield (*at, key)
        yield from places(value, (*at, key))


def changed(tree: Any, place: Place, way: str) -> Any:
    """A copy in which one entry is changed; the very same where that is no change."""
    tree = copy.deepcopy(_mutable(tree))
    holder = tree
    for key in place[:-1]:
        holder = holder[key]
    value = holder[place[-1]]
    if way == "dropped":
        del holder[place[-1]]
    elif way == "renamed" and isinstance(holder, dict):
        holder[f"{place[-1]}x"] = holder.pop(place[-1])
    else:
        holder[place[-1]] = _other(value, way)
    return tree


def _mutable(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _mutable(value) for key, value in tree.items()}
    return [_mutable(value) for value in tree] if isinstance(tree, list | tuple) else tree


def _other(value: Any, way: str) -> Any:
    if way == "nothing":
        return None
    if isinstance(value, torch.Tensor):
        return _other_tensor(value, way)
    if isinstance(value, dict):
        return {"retyped": list(value), "reshaped": {}, "grown": {**value, "more": 1}}.get(way, value)
    if isinstance(value, list):
        return {"retyped": {}, "reshaped": value[:-1], "grown": value * 3}.get(way, value)
    if isinstance(value, str):
        return {"retyped": 7, "reshaped": "", "grown": value * 100 + "\x1b[31m<b>"}.get(way, value)
    if value is None:
        return {"retyped": "x", "reshaped": [1], "grown": 10**9}.get(way, value)
    return {"retyped": "x", "reshaped": -1 - value, "grown": 10**9}.get(way, value)


def _other_tensor(value: torch.Tensor, way: str) -> torch.Tensor:
    if way == "retyped":
        return value.to(torch.int64 if value.is_floating_point() else torch.float32)
    if way == "reshaped":
        return value.flatten()[:1].clone() if value.numel() > 1 else torch.zeros(3, 5)
    return torch.cat([value.flatten(), value.flatten()]) if way == "grown" else value
