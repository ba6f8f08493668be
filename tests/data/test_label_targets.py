"""Labels that are several per image, or numbers: from every source, into splits, and onto a trained run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dlkit.cli.main import main
from dlkit.data import ImageData, load_data
from dlkit.data.listing import Listing
from dlkit.data.targets import strata
from dlkit.errors import DataError
from dlkit.options import DataOptions

NAN = float("nan")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in range(8):
        Image.new("L", (4, 4), index * 20).save(tmp_path / f"{index}.png")
    return tmp_path


def manifest(folder: Path, header: str, *cells: str, name: str = "m.csv") -> str:
    rows = [f"{index}.png,{text}" for index, text in enumerate(cells)]
    (folder / name).write_text("\n".join([f"image_path,{header}", *rows]) + "\n")
    return str(folder / name)


def load(data: str, **given: Any) -> ImageData:
    return load_data(DataOptions(data=data, val_fraction=0, test_fraction=0, **given))


def targets(data: ImageData) -> Any:
    assert data.train.targets is not None
    assert data.train.labels is None
    return data.train.targets.tolist()


@pytest.mark.parametrize("mark", [";", "|", " ; "])
def test_a_manifest_with_several_labels_per_image(folder: Path, mark: str) -> None:
    data = load(manifest(folder, "label", f"dog{mark}cat", "cat", mark, f"{mark}ant"))
    assert (data.spec.target, data.spec.classes) == ("multi-label", ("ant", "cat", "dog"))
    assert targets(data) == [[0, 1, 1], [0, 1, 0], [0, 0, 0], [1, 0, 0]]  # a lone separator: none of them
    assert data.spec.class_counts["train"] == (1, 2, 1)
    assert "several labels per image" in data.notices[0]


def test_an_empty_cell_is_unlabelled(folder: Path) -> None:
    data = load(manifest(folder, "label", "dog;cat", "", "cat"))
    assert data.train.targets is not None
    assert data.train.targets.isnan().all(1).tolist() == [False, True, False]
    assert data.spec.class_counts["train"] == (2, 1)


def test_fractions_are_numbers_and_whole_numbers_classes_unless_told(folder: Path) -> None:
    fractions = manifest(folder, "label", "1.5", "2", "")
    data = load(fractions)
    assert (data.spec.target, data.spec.classes, data.spec.class_counts) == ("number", ("label",), {})
    np.testing.assert_array_equal(data.train.targets, [[1.5], [2], [NAN]])
    assert load(fractions, target="classes").spec.classes == ("1.5", "2")
    whole = manifest(folder, "label", "3", "1", "2", name="whole.csv")
    assert load(whole).spec.classes == ("1", "2", "3")
    assert targets(load(whole, target="number")) == [[3], [1], [2]]
    assert load(whole, target="number").notices == ()


def test_columns_are_chosen_and_several_are_numbers(folder: Path) -> None:
    path = manifest(folder, "label,Age,height", "a,31,1.5", "b,,1.75", "b,40,")
    assert load(path).spec.classes == ("a", "b")
    one = load(path, label=("age",), target="number")
    assert one.spec.classes == ("Age",)
    assert "label, height" in one.notices[0]
    both = load(path, label=("age", "height"))
    assert (both.spec.target, both.spec.classes) == ("number", ("Age", "height"))
    np.testing.assert_array_equal(both.train.targets, np.array([[31, 1.5], [NAN, 1.75], [40, NAN]], np.float32))
    flags = load(manifest(folder, "hat,beard", "1,0", "0,0", "1,1"), label=("hat", "beard"))
    assert (flags.spec.target, targets(flags)) == ("multi-label", [[1, 0], [0, 0], [1, 1]])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"label": ("agee",)}, "no column 'agee'(.|\n)*Did you mean 'age'"),
        ({"label": ("split",)}, "no column 'split'"),
        ({"label": ("label", "age")}, "row 2: label is 'a', expected a number"),
        ({"target": "number"}, "the label 'a' is not a number"),
        ({"label": ("age",), "target": "number"}, "the label 'nan' is not a number"),
    ],
)
def test_what_is_wrong_is_said(folder: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(manifest(folder, "label,age", "a,1", "b,nan"), **given)


def test_label_is_for_manifests(folder: Path) -> None:
    with pytest.raises(DataError, match="has no columns"):
        load(str(folder), label=("age",))


def test_folders_named_by_numbers(tmp_path: Path) -> None:
    for name in ("10", "2.5"):
        (tmp_path / name).mkdir()
        Image.new("L", (4, 4), 9).save(tmp_path / name / "a.png")
    assert load(str(tmp_path)).spec.target == "classes"
    assert sorted(targets(load(str(tmp_path), target="number"))) == [[2.5], [10]]


@pytest.mark.parametrize(
    ("labels", "classes", "target", "names"),
    [
        (np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]]), None, "multi-label", ("0", "1", "2")),
        (np.array([[1, 0], [0, 1], [1, 1]], bool), ["a", "b"], "multi-label", ("a", "b")),
        (np.array([0.5, 1.0, NAN]), None, "number", ("label",)),
        (np.array([[0.5], [1.0], [2.0]]), ["age"], "number", ("age",)),
        (np.array([[3, 10], [2, 20], [1, 30]]), None, "number", ("0", "1")),
    ],
)
def test_arrays(tmp_path: Path, labels: np.ndarray, classes: Any, target: str, names: tuple[str, ...]) -> None:
    arrays = {"labels": labels} | ({"classes": np.array(classes)} if classes else {})
    np.savez(tmp_path / "a.npz", images=np.zeros((3, 5, 5), np.uint8), **arrays)
    data = load(str(tmp_path / "a.npz"))
    assert (data.spec.target, data.spec.classes) == (target, names)
    np.testing.assert_array_equal(data.train.targets, labels.reshape(3, -1).astype(np.float32))
    assert "are taken as" in data.notices[0]


def test_one_hot_rows_can_be_classes(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros((3, 5, 5), np.uint8), labels=np.eye(3)[[2, 0, 1]])
    labels = load(str(tmp_path / "a.npz"), target="classes").train.labels
    assert labels is not None
    assert labels.tolist() == [2, 0, 1]
    assert load(str(tmp_path / "a.npz"), target="number").spec.target == "number"
    np.savez(tmp_path / "b.npz", images=np.zeros((3, 5, 5), np.uint8), labels=np.array([0.5, 1, 2]))
    for target, message in (("classes", "Use --target number"), ("multi-label", "0 or 1")):
        with pytest.raises(DataError, match=message):
            load(str(tmp_path / "b.npz"), target=target)


def test_targets_are_in_the_fingerprint(folder: Path) -> None:
    prints = [
        load(manifest(folder, "label", *cells), **given).spec.fingerprint
        for cells, given in (
            (("1.5", "2"), {}),
            (("1.5", "3"), {}),
            (("1.5", "2"), {"target": "classes"}),
            (("a;b", "a"), {}),
            (("a;b", "b"), {}),
        )
    ]
    assert len(set(prints)) == 5


def test_numbers_give_their_parts_to_every_split(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).permutation(200) + 0.5
    np.savez(tmp_path / "a.npz", images=np.zeros((200, 2, 2), np.uint8), labels=numbers)
    data = load_data(DataOptions(data=str(tmp_path / "a.npz"), test_fraction=0.2, val_fraction=0))
    assert data.test.targets is not None
    tenths = torch.bincount((data.test.targets[:, 0] // 20).long())
    assert tenths.tolist() == [4] * 10


def test_rare_labels_are_in_every_split() -> None:
    rows = np.zeros((100, 3), np.float32)
    rows[:, 0], rows[:50, 1], rows[:10, 2], rows[98], rows[99] = 1, 1, 1, 0, NAN
    listing = Listing(name="x", images=None, targets=rows, target="multi-label", splits=np.zeros(100, int))  # type: ignore[arg-type]
    assert strata(listing).tolist() == [2] * 10 + [1] * 40 + [0] * 48 + [3] + [-1]  # type: ignore[union-attr]


def test_other_data_is_matched_by_name(folder: Path) -> None:
    trained = load(manifest(folder, "label", "dog;cat", "cat", "ant")).spec
    path = manifest(folder, "label", "dog", "dog;ant", "", name="other.csv")
    other = load_data(DataOptions(data=path), like=trained)
    assert other.spec.classes == ("ant", "cat", "dog")
    np.testing.assert_array_equal(other.test.targets, [[0, 0, 1], [1, 0, 1], [NAN] * 3])
    path = manifest(folder, "label", "dog", "eel;cat", name="eel.csv")
    with pytest.raises(DataError, match=r"'eel', which the run does not know(.|\n)*'ant', 'cat', 'dog'"):
        load_data(DataOptions(data=path), like=trained)
    dropped = load_data(DataOptions(data=path), like=trained, drop_unknown=True)
    np.testing.assert_array_equal(dropped.test.targets, [[0, 0, 1], [0, 1, 0]])
    assert "'eel'" in dropped.notices[0]
    unlabelled = load_data(DataOptions(data=str(folder)), like=trained)
    assert (unlabelled.spec.target, unlabelled.spec.classes) == ("multi-label", trained.classes)


def test_other_data_with_numbers(folder: Path) -> None:
    path = manifest(folder, "age,height", "31,1.5", "30,1.75")
    trained = load(path, label=("height", "age")).spec
    like = dataclasses.replace(trained, source="elsewhere")
    other = load_data(DataOptions(data=path, label=("age", "height")), like=like)
    np.testing.assert_array_equal(other.test.targets, [[1.5, 31], [1.75, 30]])
    with pytest.raises(DataError, match="lacks 'height'"):
        load_data(DataOptions(data=path, label=("age",)), like=like)
    one = load(path, label=("age",), target="number").spec
    named = load_data(DataOptions(data=manifest(folder, "label", "7", name="b.csv")), like=one)
    assert (named.spec.classes, named.test.targets) == (("age",), torch.tensor([[7.0]]))
    without = load_data(DataOptions(data=manifest(folder, "x", "7", name="c.csv"), label=("age",)), like=one)
    assert without.test.targets is None  # unlabelled data is fine


def test_the_data_verb_shows_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = manifest(folder, "label,age", *(f"dog;cat,{index}.5" for index in range(6)), "cat,1", ",")
    assert main(["data", path, "--test-fraction", "0", "--val-fraction", "0"]) == 0
    shown = capsys.readouterr().out
    assert "labels         2" in shown
    assert "Images per label" in shown
    assert main(["data", path, "--label", "age", "--test-fraction", "0", "--val-fraction", "0", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["numbers"] == [{"column": "age", "images": 7, "min": 0.5, "mean": 19 / 7, "max": 5.5,
                                 "std": pytest.approx(np.std([0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 1]))}]  # fmt: skip
    assert found["unlabelled"]["train"] == 1
