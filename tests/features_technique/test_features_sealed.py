"""Estimators as bytes: the same after a round trip, and a hostile file executes nothing."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from dlkit_builtin.features.head import Head
from dlkit_builtin.features.sealed import seal, unseal
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier
from small_features import class_targets, drawn, fitted_head, outputs_of

from dlkit.errors import DataError
from dlkit.probes.estimators import ESTIMATORS


@pytest.mark.parametrize("name", [name for name, entry in ESTIMATORS.items() if entry.classes])
def test_every_short_name_comes_back_unasked(name: str) -> None:
    features, labels = drawn(count=90)
    cheap = {"mlp": ("max_iter=20",), "random-forest": ("n_estimators=5",), "extra-trees": ("n_estimators=5",),
             "gradient-boosting": ("n_estimators=5",), "ada-boost": ("n_estimators=5",)}.get(name, ())  # fmt: skip
    head, _ = fitted_head(features, class_targets(labels), classifier=name, param=cheap)
    again = Head.restored(head.tensors(), json.loads(json.dumps(head.plain())))
    np.testing.assert_array_equal(outputs_of(again, features), outputs_of(head, features))


class Bomb:
    """What a hostile file would like to be."""

    def __init__(self, target: str) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return Path.touch, (Path(self.target),)


def test_a_pickle_executes_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    bomb = torch.frombuffer(bytearray(pickle.dumps(Bomb(str(mark)))), dtype=torch.uint8)
    with pytest.raises(DataError, match="cannot be read"):
        unseal(bomb)
    assert not mark.exists()


def test_a_bomb_is_not_unpacked() -> None:
    """A megabyte may hold a thousand: here an array of zeros that nothing asks for, deflated."""
    sealed, _ = seal(DecisionTreeClassifier().fit([[0.0], [1.0]], [0, 1]))
    content = io.BytesIO(sealed.numpy().tobytes())
    with zipfile.ZipFile(content, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("more.npy", bytes(10 << 20))
    with pytest.raises(DataError, match=r"unpacks to 10\.\d MiB"):
        unseal(torch.frombuffer(bytearray(content.getvalue()), dtype=torch.uint8))


def test_types_that_are_not_known_are_not_even_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A skops file that names a class of a module which leaves a mark when it is imported."""
    (tmp_path / "hostile_module.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\nclass Evil: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    sealed, _ = seal(DecisionTreeClassifier().fit([[0.0], [1.0]], [0, 1]))
    source = zipfile.ZipFile(io.BytesIO(sealed.numpy().tobytes()))
    changed = io.BytesIO()
    with zipfile.ZipFile(changed, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "schema.json":
                content = content.replace(b"sklearn.tree._classes", b"hostile_module")
                content = content.replace(b"DecisionTreeClassifier", b"Evil")
            target.writestr(name, content)
    with pytest.raises(DataError, match=r"does not know: hostile_module\.Evil") as refused:
        unseal(torch.frombuffer(bytearray(changed.getvalue()), dtype=torch.uint8))
    assert "DLKIT_TRUST" in refused.value.hint
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(("column", "value"), [("left_child", 10**6), ("right_child", 10**6), ("feature", 999), ("left_child", 0)])  # noqa: E501  # fmt: skip
def test_trees_that_point_out_of_themselves_are_refused(column: str, value: int) -> None:
    features, labels = drawn()
    forest = RandomForestClassifier(3, random_state=0).fit(features, labels)
    tree = forest.estimators_[1].tree_
    state = tree.__getstate__()
    state["nodes"] = state["nodes"].copy()
    state["nodes"][column][0] = value
    tree.__setstate__(state)
    with pytest.raises(DataError, match="point out of it"):
        unseal(seal(forest)[0])
