"""Folds: every image is tested once, classes are spread evenly, published test images stay untouched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlkit.data import load_data
from dlkit.data.folds import parts
from dlkit.errors import DataError, UsageError
from dlkit.options import DataOptions
from dlkit.options.values import Fold
from dlkit.settings import resolve


@given(st.lists(st.integers(0, 4), min_size=5, max_size=60), st.integers(2, 5), st.integers(0, 3))
def test_parts_are_equal_also_within_classes(labels: list[int], folds: int, seed: int) -> None:
    strata = np.array(labels)
    part = parts(strata, len(strata), folds, seed)
    for members in (part, *(part[strata == label] for label in set(labels))):
        counts = np.bincount(members, minlength=folds)
        assert counts.max() - counts.min() <= 1
    assert (part == parts(strata, len(strata), folds, seed)).all()


def archive(path: Path, split: bool) -> Path:
    images = np.arange(60, dtype=np.uint8)[:, None, None] + np.zeros((60, 8, 8), dtype=np.uint8)
    extra = {"split": np.repeat(["train", "val", "test"], [40, 10, 10])} if split else {}
    np.savez(path, images=images, labels=np.arange(60) % 3, **extra)
    return path


def numbers(split: object) -> set[int]:
    return set(split.raw()[:, 0, 0, 0].tolist())  # the image's number is its colour


def test_each_image_is_tested_once_where_there_is_no_test_split(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", split=False)
    tested = []
    for number in range(1, 6):
        data = load_data(DataOptions(data=str(path), fold=Fold(number, 5)))
        held = numbers(data.test)
        assert len(held) == 12
        assert data.spec.class_counts["test"] == (4, 4, 4)
        assert not held & (numbers(data.train) | numbers(data.val))
        assert len(held | numbers(data.train) | numbers(data.val)) == 60
        assert len(data.val) == 5  # a tenth of the 48
        tested += sorted(held)
        assert data.notices[-1] == f"Fold {number}/5: of 60 images, one part in 5 is the test split."
    assert sorted(tested) == list(range(60))


def test_a_published_test_split_stays_untouched(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", split=True)
    tested = []
    for number in range(1, 5):
        data = load_data(DataOptions(data=str(path), fold=Fold(number, 4)))
        assert numbers(data.val) == set(range(40, 50))
        assert numbers(data.train) | numbers(data.test) == set(range(40))
        tested += sorted(numbers(data.test))
        assert "own 10 test images are left out" in data.notices[-1]
    assert sorted(tested) == list(range(40))


def test_a_run_finds_its_fold_again(tmp_path: Path) -> None:
    options = DataOptions(data=str(archive(tmp_path / "a.npz", split=False)), fold=Fold(2, 3))
    first = load_data(options)
    assert load_data(options, like=first.spec).spec.fingerprint == first.spec.fingerprint
    assert load_data(replace(options, fold=Fold(1, 3))).spec.fingerprint != first.spec.fingerprint
    other = archive(tmp_path / "b.npz", split=True)
    assert (
        len(load_data(replace(options, data=str(other)), like=first.spec).test) == 10
    )  # folds are of a run's own data


def test_more_parts_than_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="60 images cannot be parted into 61 folds"):
        load_data(DataOptions(data=str(archive(tmp_path / "a.npz", split=False)), fold=Fold(1, 61)))


@pytest.mark.parametrize("text", ["0/5", "6/5", "1/1", "2", "a/b", "1/5/3"])
def test_a_wrong_fold_is_told(text: str) -> None:
    from dlkit.discovery import registry

    with pytest.raises(UsageError, match="expected a part like 2/5"):
        resolve(registry().technique("autoencoder"), flags={"fold": text})
