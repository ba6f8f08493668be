from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from dlkit.errors import DataError, DlkitError
from dlkit.runtime.checkpoint import flatten, read_checkpoint, unflatten, write_checkpoint

tensors = st.builds(
    lambda shape, dtype: (torch.randn(shape) * 3).to(dtype),
    st.lists(st.integers(0, 3), max_size=3),
    st.sampled_from([torch.float32, torch.bfloat16, torch.int64, torch.uint8, torch.bool, torch.float64]),
)
plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
keys = st.text() | st.integers() | st.tuples(st.integers(), st.text())
trees = st.recursive(
    plain | tensors,
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=12,
)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


@given(trees)
@settings(max_examples=150, deadline=None)
def test_what_is_flattened_comes_back(tree: Any) -> None:
    found: dict[str, torch.Tensor] = {}
    text = json.dumps(flatten(tree, found))
    assert same(unflatten(json.loads(text), found), tree)


@given(tree=trees)
@settings(max_examples=20, deadline=None)
def test_what_is_written_comes_back(tree: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("checkpoint") / "last.safetensors"
    write_checkpoint(path, tree)
    assert same(read_checkpoint(path), tree)
    assert list(path.parent.iterdir()) == [path]


def test_tied_strided_and_expanded_tensors(tmp_path: Path) -> None:
    weight = torch.randn(4, 6)
    tree = {
        "tied": (weight, weight),
        "view": weight[1:3],
        "transposed": weight.t(),
        "expanded": torch.tensor([1.0]).expand(5),
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "parameter": nn.Parameter(weight),
        "infinite": float("inf"),
    }
    path = tmp_path / "last.safetensors"
    write_checkpoint(path, tree)
    back = read_checkpoint(path)
    assert same(back, {**tree, "parameter": weight})


def test_other_types_are_named(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"set at 'a/b/1'"):
        write_checkpoint(tmp_path / "x", {"a": {"b": [1, {2}]}})
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.safetensors"
    write_checkpoint(path, {"step": 1})

    def fail(_: Any, target: Path, __: Any) -> None:
        Path(target).write_bytes(b"half")
        raise RuntimeError("killed")

    monkeypatch.setattr("dlkit.runtime.checkpoint.save_file", fail)
    with pytest.raises(RuntimeError):
        write_checkpoint(path, {"step": 2})
    assert read_checkpoint(path) == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_the_users_error(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    write_checkpoint(path, {"step": 1})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))  # as full as a test can make it
    try:
        with pytest.raises(DlkitError, match=r"Cannot write .*last\.safetensors': File too large"):
            write_checkpoint(path, {"weights": torch.zeros(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert read_checkpoint(path) == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_damaged_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    write_checkpoint(path, {"w": torch.randn(50)})
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"last\.safetensors"):
        read_checkpoint(path)
    save_file({"w": torch.randn(2)}, path)
    with pytest.raises(DataError):
        read_checkpoint(path)
