"""Other data for a trained run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dlkit.data import load_data
from dlkit.data.spec import DataSpec
from dlkit.errors import DataError
from dlkit.options import DataOptions
from dlkit.options.values import Size


def folder(root: Path, classes: tuple[str, ...], size: int = 10, count: int = 10) -> DataOptions:
    for number, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for index in range(count):
            pixels = np.random.default_rng([number, index]).integers(0, 256, (size, size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{index}.png")
    return DataOptions(data=str(root))


@pytest.fixture
def trained(tmp_path: Path) -> DataSpec:
    options = folder(tmp_path / "trained", ("ant", "bee", "cat"))
    return load_data(DataOptions(data=options.data, normalize="channel", image_size=Size(6, 6))).spec


def test_own_data_comes_back_as_it_was(trained: DataSpec) -> None:
    again = load_data(DataOptions(data=trained.source), like=trained)
    assert again.spec == trained


def test_other_data_takes_form_and_class_numbers_by_name(trained: DataSpec, tmp_path: Path) -> None:
    other = load_data(folder(tmp_path / "other", ("bee", "cat"), size=20), like=trained)
    assert other.spec.shape == trained.shape
    assert other.spec.classes == ("ant", "bee", "cat")
    assert other.spec.normalization == trained.normalization
    assert other.spec.counts == {"train": 0, "val": 0, "test": 20}  # no splits are made of it
    assert other.spec.class_counts["test"] == (0, 10, 10)
    assert other.held_out.labels is not None
    assert other.held_out.labels.tolist() == [1] * 10 + [2] * 10
    assert other.spec.fingerprint != trained.fingerprint


def test_unknown_classes_are_refused_by_name(trained: DataSpec, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'dog'(.|\n)*'ant', 'bee', 'cat'"):
        load_data(folder(tmp_path / "other", ("bee", "dog")), like=trained)


def test_unlabelled_data_is_fine(trained: DataSpec, tmp_path: Path) -> None:
    folder(tmp_path / "flat", ("x",))
    other = load_data(DataOptions(data=str(tmp_path / "flat" / "x")), like=trained)
    assert other.held_out.labels is None
    assert other.spec.classes == trained.classes
    assert len(other.held_out) == 10


def test_a_run_without_classes_takes_any(tmp_path: Path) -> None:
    folder(tmp_path / "flat", ("x",))
    unlabelled = load_data(DataOptions(data=str(tmp_path / "flat" / "x"))).spec
    other = load_data(folder(tmp_path / "other", ("b", "a")), like=unlabelled)
    assert other.spec.classes == ("a", "b")


def test_depth_follows_the_run(trained: DataSpec, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (6, 6)).astype(np.uint16)
    (tmp_path / "deep").mkdir()
    Image.fromarray(values).save(tmp_path / "deep" / "a.png")
    raw = load_data(DataOptions(data=str(tmp_path / "deep")), like=trained).test.raw()
    assert raw.dtype == torch.uint8
    assert np.abs(raw[0, 2].numpy() - values / 257).max() <= 0.51


def test_declared_splits_of_other_data_hold(trained: DataSpec, tmp_path: Path) -> None:
    np.savez(
        tmp_path / "o.npz",
        train_images=np.zeros((4, 6, 6, 3), np.uint8),
        train_labels=np.array(["cat"] * 4),
        test_images=np.ones((3, 6, 6, 3), np.uint8),
        test_labels=np.array(["ant"] * 3),
    )
    other = load_data(DataOptions(data=str(tmp_path / "o.npz")), like=trained)
    assert other.spec.counts == {"train": 4, "val": 0, "test": 3}
    assert other.train.labels is not None
    assert other.train.labels.tolist() == [2] * 4
