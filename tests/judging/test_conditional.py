"""Whether images are what they were asked to be: figures of generators of which the answer is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from dlkit.data import ImageData, load_data
from dlkit.judging import JudgeOptions, judge_classes, judge_conditions
from dlkit.judging.conditional import rightness
from dlkit.metrics import Metrics
from dlkit.options import DataOptions, RuntimeOptions
from dlkit.runtime import Runtime

OPTIONS = JudgeOptions(judged=60, features="pixels")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLKIT_HOME", str(tmp_path / "home"))


def striped(labels: Tensor, generator: Generator) -> Tensor:
    """Images ``(n, 1, 8, 8)`` with noise: a white half where the class says, left, right or at the top."""
    images = torch.rand(len(labels), 1, 8, 8, generator=generator) * 0.5
    for image, label in zip(images, labels.tolist(), strict=True):
        place = (slice(None), slice(None), (slice(4), slice(4, 8), slice(None))[label])
        image[place if label < 2 else (slice(None), slice(4))] += 0.5
    return images


def data_of(path: Path, images: Tensor, labels: Any) -> ImageData:
    split = np.repeat(["train", "val", "test"], [len(images) - 60, 20, 40])
    np.savez(path, images=(images[:, 0] * 255).byte().numpy(), labels=labels, split=split)
    return load_data(DataOptions(data=str(path)))


@pytest.fixture
def stripes(tmp_path: Path) -> ImageData:
    labels = torch.arange(240) % 3
    return data_of(tmp_path / "data.npz", striped(labels, torch.Generator().manual_seed(0)), labels.numpy())


def obedient(count: int, generator: Generator, labels: Tensor) -> Tensor:
    assert count == len(labels)
    return striped(labels, generator)


def test_one_who_does_as_told_scores_as_genuine_images_do(stripes: ImageData) -> None:
    test, train = judge_conditions(obedient, stripes, Runtime(RuntimeOptions(threads=1)), OPTIONS)
    assert (test.name, test.value, test.baselines["held-out genuine images"]) == ("gan_test", 1, 1)
    assert (train.name, train.value, train.baselines["trained on genuine images"]) == ("gan_train", 1, 1)
    assert test.baselines["the commonest answer"] < 0.5
    assert train.split == "test"


def test_one_who_always_makes_the_next_class_is_never_right(stripes: ImageData) -> None:
    def wrong(_: int, generator: Generator, labels: Tensor) -> Tensor:
        return striped((labels + 1) % 3, generator)

    test, train = judge_conditions(wrong, stripes, Runtime(RuntimeOptions(threads=1)), OPTIONS)
    assert test.value == train.value == 0


def test_classes_are_judged_one_by_one(stripes: ImageData) -> None:
    def collapsed(count: int, generator: Generator, labels: Tensor) -> Tensor:
        """One image again and again where class 1 is asked for."""
        images = striped(labels, generator)
        return torch.where((labels == 1)[:, None, None, None], images[:1].expand(count, -1, -1, -1), images)

    runtime = Runtime(RuntimeOptions(threads=1))
    found = judge_classes(collapsed, stripes, runtime, OPTIONS)
    (fid, coverage), (table,) = found, found.tables
    best, covered = judge_classes(obedient, stripes, runtime, OPTIONS)
    assert coverage.value < 0.3 < 0.8 < covered.value
    assert coverage.value == table.rows[1]["coverage"]
    assert fid.value > best.value
    assert best.value == pytest.approx(best.baselines["other genuine images"], rel=0.2)
    assert [row["class"] for row in table.rows] == ["0", "1", "2"]


def test_rightness() -> None:
    outputs = torch.tensor([[0.9, 0.1], [0.4, 0.6]])
    assert rightness(outputs, torch.tensor([0, 0]), "classes") == 0.5
    assert rightness(outputs, torch.tensor([[1.0, 0.0], [1.0, 1.0]]), "multi-label") == 0.75
    truth = torch.tensor([[1.0], [2.0], [6.0]])
    assert rightness(truth, truth, "number") == 1
    assert rightness(truth.mean().expand(3, 1), truth, "number") == 0


@pytest.mark.parametrize("target", ["multi-label", "number"])
def test_attributes_and_numbers(tmp_path: Path, target: str) -> None:
    """How bright the upper and the lower half are."""
    random = np.random.default_rng(0)
    values = random.integers(0, 2, (260, 2)) if target == "multi-label" else random.random((260, 2))

    def halves(labels: Tensor) -> Tensor:
        return labels.clamp(0, 1).float().repeat_interleave(4, 1)[:, None, :, None].expand(-1, -1, -1, 8)

    data = data_of(tmp_path / "data.npz", halves(torch.from_numpy(values)), values)
    assert data.spec.target == target
    runtime = Runtime(RuntimeOptions(threads=1))
    test, train = judge_conditions(lambda _, __, labels: halves(labels), data, runtime, OPTIONS)
    assert test.value == pytest.approx(test.baselines["held-out genuine images"], abs=0.1)
    assert train.value == pytest.approx(train.baselines["trained on genuine images"], abs=0.2)
    assert test.value > (0.9 if target == "multi-label" else 0.6)
    assert test.baselines["the commonest answer"] < 0.7


def test_unlabelled_images_are_not_asked_about(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", images=np.zeros((40, 8, 8), dtype=np.uint8))
    data, runtime = load_data(DataOptions(data=str(tmp_path / "data.npz"))), Runtime(RuntimeOptions(threads=1))
    assert len(judge_conditions(obedient, data, runtime, OPTIONS)) == 0
    assert judge_classes(obedient, data, runtime, OPTIONS) == Metrics(())


def test_of_too_few_images_it_is_said_that_they_are_not_judged(tmp_path: Path) -> None:
    """Nine training images of a class: enough neither for a class's distances nor for a judge."""
    labels = torch.arange(87) % 3
    data = data_of(tmp_path / "few.npz", striped(labels, torch.Generator().manual_seed(0)), labels.numpy())
    runtime = Runtime(RuntimeOptions(threads=1))
    by_class, asked = (judged(obedient, data, runtime, OPTIONS) for judged in (judge_classes, judge_conditions))
    assert (len(by_class), len(asked)) == (0, 0)
    both = by_class + asked
    assert "No class has 20 training images" in both.notices[0]
    assert "20 labelled training images" in both.notices[1]
