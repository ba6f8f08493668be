"""The networks: sizes by formula, shapes for any image, what their options do, what does not fit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from dlkit_builtin.classifier.options import ClassifierOptions
from dlkit_builtin.classifier.technique import Classifier
from torch import nn
from torch.nn import functional as F

from dlkit.data.spec import DataSpec, Normalization
from dlkit.errors import UsageError


def spec(shape: tuple[int, int, int] = (1, 28, 28), classes: int = 10, **given: Any) -> DataSpec:
    channels, height, width = shape
    names = tuple(str(index) for index in range(classes))
    return DataSpec(source="x", name="x", channels=channels, height=height, width=width, classes=names, **given)


def make(shape: tuple[int, int, int] = (1, 28, 28), classes: int = 10, **given: Any) -> Classifier:
    return Classifier(ClassifierOptions(**given), spec(shape, classes))


def size(technique: Classifier) -> int:
    return sum(parameter.numel() for parameter in technique.network.parameters())


def test_lenet_has_its_61706_parameters() -> None:
    assert size(make(net="lenet")) == 61_706  # on 28 px digits, padded to 32
    assert size(make((1, 32, 32), net="lenet", padding=(0,))) == 61_706


def test_resnet_20_has_its_quarter_of_a_million() -> None:
    """He et al. 2016, table 6: 0.27 M. By formula: with n = 3 and option A, no parameters in shortcuts."""

    def block(before: int, here: int) -> int:
        return 9 * before * here + 9 * here * here + 4 * here

    stages = 3 * block(16, 16) + block(16, 32) + 2 * block(32, 32) + block(32, 64) + 2 * block(64, 64)
    expected = 9 * 3 * 16 + 2 * 16 + stages + 65 * 10
    technique = make((3, 32, 32), net="resnet")
    assert size(technique) == expected == 269_722
    convolutions = [layer for layer in technique.network.modules() if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) + 1 == 20


def test_mlp_and_cnn_by_formula() -> None:
    assert size(make(net="mlp", layers=(30, 20))) == 784 * 30 + 30 + 30 * 20 + 20 + 20 * 10 + 10
    cnn = make((3, 20, 20), layers=(4, 6), kernels=(5, 3), strides=(2, 1), padding=(0, 2), dense=(7,), pool="avg")
    # 20 → (20 − 5)/2 + 1 = 8 → 4 → 4 + 4 − 2 = 6 → 3
    assert size(cnn) == (3 * 25 + 1) * 4 + (4 * 9 + 1) * 6 + (6 * 3 * 3 + 1) * 7 + 8 * 10


@pytest.mark.parametrize("net", ["mlp", "cnn", "lenet", "resnet"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 13, 17), (1, 28, 28), (3, 64, 64), (3, 130, 200)])
def test_any_image_becomes_logits(net: Any, shape: tuple[int, int, int]) -> None:
    if (net, shape[1]) == ("lenet", 8):
        with pytest.raises(UsageError, match="8x8 are too small for --net lenet"):
            make(shape, net=net)
        return
    technique = make(shape, classes=3, net=net)
    images = torch.rand(2, *shape)
    assert technique.network(images).shape == (2, 3)
    assert technique.encode(images).shape == (2, technique.network.size)
    torch.testing.assert_close(technique.classify(images).sum(1), torch.ones(2))
    if net == "resnet":  # its stages see at most 64 pixels
        maps = technique.network.body[0](images)
        assert max(maps.shape[2:]) <= 64
        assert 2 * max(maps.shape[2:]) > min(64, max(shape[1:]))


def test_a_residual_block_adds_to_what_it_gets() -> None:
    technique = make((1, 8, 8), net="resnet", layers=(4, 6), blocks=1)
    block = technique.network.body.get_submodule("stage-2")[0].eval()  # type: ignore[index]
    maps = torch.rand(2, 4, 8, 8)
    shortcut = F.pad(maps[:, :, ::2, ::2], (0, 0, 0, 0, 0, 2))
    torch.testing.assert_close(block(maps), F.relu(shortcut + block.path(maps)))
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    torch.testing.assert_close(block(maps), shortcut)


def test_options_reach_the_layers() -> None:
    technique = make(layers=(4, 4), activation="tanh", batch_norm=True, dropout=0.3, pool="none", init="gaussian")
    kinds = [type(layer) for layer in technique.network.body.get_submodule("conv-1")]  # type: ignore[union-attr]
    assert kinds == [nn.Conv2d, nn.BatchNorm2d, nn.Tanh, nn.Dropout2d]
    weights = technique.network.output.weight
    assert 0.005 < weights.std() < 0.015


def test_normalisation_is_inside() -> None:
    normalization = Normalization(mode="channel", mean=b"\x00\x00\x00?", std=b"\x00\x00\x80>")  # 0.5 and 0.25
    technique = Classifier(ClassifierOptions(net="mlp"), spec(normalization=normalization))
    images = torch.rand(3, 1, 28, 28)
    torch.testing.assert_close(technique.encode(images), technique.network.body((images - 0.5) / 0.25))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"net": "mlp", "kernels": (3,)}, "--kernels"),
        ({"net": "resnet", "pool": "avg"}, "--pool"),
        ({"net": "cnn", "blocks": 2}, "--blocks"),
        ({"loss": "svm", "label_smoothing": 0.1}, "--label-smoothing"),
    ],
)
def test_options_that_would_do_nothing_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClassifierOptions(**given)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="--kernels has 2 values for 3 convolutions"):
        make(layers=(4, 4, 4), kernels=(3, 5))
    with pytest.raises(UsageError, match="--batch-size is 1"):
        make(net="resnet", batch_size=1)
    with pytest.raises(UsageError, match="--loss svm separates classes"):
        Classifier(ClassifierOptions(loss="svm"), spec(target="number", classes=1))
