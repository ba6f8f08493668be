from __future__ import annotations

import pytest
import torch

from dlkit.baselines import code_metrics, knn_accuracy, linear_probe_accuracy
from dlkit.baselines import codes as module
from dlkit.data import DataSpec, ImageData, Split
from dlkit.data.data import Resident
from dlkit.options import RuntimeOptions
from dlkit.runtime import Runtime


def split(name: str, count: int, labelled: bool = True) -> Split:
    generator = torch.Generator().manual_seed(count)
    labels = torch.arange(count) % 3
    images = torch.rand(count, 1, 4, 4, generator=generator) + labels.view(-1, 1, 1, 1) / 4
    return Split(name, Resident(images.clamp(max=1)), labels if labelled else None, None)


def image_data(train: Split, test: Split, classes: tuple[str, ...] = ("a", "b", "c")) -> ImageData:
    spec = DataSpec(source="", name="", channels=1, height=4, width=4, pixel_type="float32", classes=classes)
    return ImageData(spec=spec, train=train, val=split("val", 0), test=test)


@pytest.fixture
def runtime() -> Runtime:
    return Runtime(RuntimeOptions(device="cpu", threads=1))


def test_pixels_as_codes_are_worth_as_much_as_pixels(runtime: Runtime) -> None:
    train, test = split("train", 90), split("test", 40)
    knn, probe = code_metrics(lambda images: images.flatten(1), image_data(train, test), runtime)
    arrays = (train.pixels().flatten(1).numpy(), train.labels.numpy(), test.pixels().flatten(1).numpy())
    assert knn.value == knn.baselines["raw pixels"] == knn_accuracy(*arrays, test.labels.numpy())
    assert probe.value == probe.baselines["raw pixels"] == linear_probe_accuracy(*arrays, test.labels.numpy())
    assert knn.baselines["majority class"] == 14 / 40
    assert knn.note == "fitted on 90 labelled training images, tested on 40"
    assert knn.interval[0] < knn.value < knn.interval[1]


def test_unlabelled_images_are_left_out_and_large_splits_sampled(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TRAIN_IMAGES", 30)
    train, test = split("train", 90), split("test", 40)
    test.labels[::2] = -1
    seen: list[int] = []

    def encode(images: torch.Tensor) -> torch.Tensor:
        seen.append(len(images))
        return images.flatten(1)

    first = code_metrics(encode, image_data(train, test), runtime)
    assert seen == [30, 20]
    assert first[0].note == "fitted on 30 labelled training images, tested on 20"
    assert first == code_metrics(encode, image_data(train, test), runtime)


def test_nothing_without_labels_classes_or_images_held_out(runtime: Runtime) -> None:
    train, test, none = split("train", 9), split("test", 9), split("test", 0)
    for data in (
        image_data(split("train", 9, labelled=False), test),
        image_data(train, split("test", 9, labelled=False)),
        image_data(train, test, classes=("a",)),
        image_data(train, none),
    ):
        assert code_metrics(lambda images: images.flatten(1), data, runtime) == []
