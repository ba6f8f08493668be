"""Pictures show what they say they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from labelled_data import make_data, probabilities
from torch import nn

from dlkit.report import plots, save_pictures
from dlkit.supervised.pictures import supervised_pictures
from dlkit.supervised.planes import in_the_plane
from dlkit.supervised.saliency import overlay, saliency_maps, saliency_picture


@pytest.mark.parametrize("classes", [2, 12, 30])
def test_pictures_of_classes(classes: int, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    names = tuple(f"$class {number}" for number in range(classes))
    test = random.integers(-1, classes, 60)
    data = make_data(test, test, names, side=16)
    features = random.normal(size=(60, 8)).astype(np.float32)
    drawn = list(supervised_pictures(probabilities(test, classes), data, features_after=features))
    assert [each.name for each in drawn] == ["confusion", "mistakes", "reliability", "feature-space"]
    index = save_pictures(drawn, tmp_path)
    assert all((tmp_path / entry["file"]).stat().st_size > 2_000 for entry in index)


def test_the_confusion_matrix_counts() -> None:
    labels = np.array([0, 0, 0, 1, 1, -1])
    answers = np.array([0, 1, 1, 1, 1, 0])
    data = make_data(labels, labels, ("ant", "bee"))
    figure = next(iter(supervised_pictures(torch.eye(2)[torch.from_numpy(answers)], data))).figure
    ax = figure.axes[0]
    texts = {text.get_position(): text.get_text() for text in ax.texts}
    assert texts == {(0, 0): "1\n33%", (1, 0): "2\n67%", (1, 1): "2\n100%"}
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["ant", "bee"]


def test_mistakes_are_the_surest_ones_with_their_files() -> None:
    labels = np.array([0, 1, 0, -1, 1])
    outputs = torch.tensor([[0.4, 0.6], [0.1, 0.9], [0.2, 0.8], [0.9, 0.1], [0.7, 0.3]])
    drawn = {each.name: each for each in supervised_pictures(outputs, make_data(labels, labels, ("ant", "bee")))}
    texts = [text.get_text() for text in drawn["mistakes"].figure.axes[0].texts]
    assert texts == [
        "bee 0.80",
        "is ant",
        "test-2.png",
        "ant 0.70",
        "is bee",
        "test-4.png",
        "bee 0.60",
        "is ant",
        "test-0.png",
    ]


def test_without_mistakes_there_is_no_picture_of_them() -> None:
    labels = np.array([0, 1, 0, 1])
    data = make_data(labels, labels, ("ant", "bee"))
    assert [each.name for each in supervised_pictures(torch.eye(2)[torch.from_numpy(labels)], data)] == [
        "confusion", "reliability",
    ]  # fmt: skip


def test_pictures_of_labels_and_numbers() -> None:
    random = np.random.default_rng(0)
    several = (random.random((40, 3)) < 0.4).astype(np.float32)
    data = make_data(several, several, ("sea", "sky", "sand"), target="multi-label")
    outputs = torch.from_numpy(random.random((40, 3))).float()
    assert [each.name for each in supervised_pictures(outputs, data, features_after=outputs)] == [
        "labels",
        "feature-space",
    ]
    values = random.normal(size=(40, 2)).astype(np.float32)
    data = make_data(values, values, ("age", "height"), target="number")
    (picture,) = supervised_pictures(torch.from_numpy(values), data)
    assert [ax.get_title(loc="left") for ax in picture.figure.axes] == ["age", "height"]
    assert picture.figure.axes[0].texts[0].get_text() == "R² 1.000"


@pytest.mark.parametrize("size", [(6, 4), (40, 1), (60, 200)])
def test_planes_repeat_from_the_seed(size: tuple[int, int]) -> None:
    features = np.random.default_rng(0).normal(size=size).astype(np.float32)
    plane, method = in_the_plane(features, 0)
    assert plane.shape == (size[0], 2)
    assert np.isfinite(plane).all()
    assert method == ("PCA" if size[0] < 30 else "t-SNE")
    assert (plane == in_the_plane(features, 0)[0]).all()


def test_the_stage_curve_marks_the_chosen_stage() -> None:
    points = [(0.5, 0.4, 0.6), (0.8, 0.7, 0.9)]
    figure = plots.stage_curve(["stem", "top"], {"probe": points}, chosen="top", level=("majority class", 0.5))
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["stem", "top"]


class Averaged(nn.Module):
    """A convolution, the mean over its places, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU())
        self.head = nn.Linear(6, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.stage(images).mean((2, 3)))


def test_saliency_is_the_class_activation_map_where_places_are_averaged() -> None:
    torch.manual_seed(0)
    network, images, targets = Averaged().eval(), torch.rand(4, 1, 9, 9), torch.tensor([0, 1, 2, 1])
    found = saliency_maps(network, network.stage, images, targets)
    cam = torch.einsum("bchw,bc->bhw", network.stage(images), network.head.weight[targets]).clamp_min(0)
    cam = cam / cam.amax((1, 2), keepdim=True).clamp_min(1e-12)  # Zhou et al. 2016, equation 2
    assert found is not None
    assert torch.allclose(found, cam, atol=1e-5)


class Tokens(nn.Module):
    """A class token, then a token for each of 2 × 3 patches; the sum of all decides."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 4, 2, stride=2)
        self.block = nn.Identity()
        self.head = nn.Linear(4, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        return self.head(self.block(torch.cat([tokens.new_zeros(len(tokens), 1, 4), tokens], 1)).sum(1))


def test_saliency_of_tokens_leaves_out_those_that_are_no_places() -> None:
    torch.manual_seed(0)
    network, images = Tokens().eval(), torch.rand(2, 1, 4, 6)
    found = saliency_maps(network, network.block, images, torch.tensor([0, 1]), axis=2)
    mine = torch.einsum("bchw,bc->bhw", network.patches(images), network.head.weight).clamp_min(0)
    assert found is not None
    assert found.shape == (2, 2, 3)
    assert torch.allclose(found, mine / mine.amax((1, 2), keepdim=True).clamp_min(1e-12), atol=1e-5)
    assert saliency_maps(network, network.head, images, torch.tensor([0, 1])) is None


def test_the_saliency_picture_names_answers_and_files() -> None:
    torch.manual_seed(0)
    network, images = Averaged().eval(), torch.rand(2, 1, 9, 9)
    answer = int(network(images)[0].argmax())
    labels = torch.tensor([answer, -1])
    picture = saliency_picture(
        network, network.stage, images, labels, ("a", "b", "c"), files=["x/one.png", "x/two.png"]
    )
    assert picture is not None
    texts = [text.get_text() for text in picture.figure.axes[0].texts]
    assert texts[1:3] == ["right", "one.png"]
    assert "two.png" in texts
    assert network.stage[0].weight.grad is None


def test_an_overlay_has_the_images_size() -> None:
    shown = overlay(torch.rand(1, 20, 30), torch.rand(2, 3))
    assert shown.shape == (3, 20, 30)
    assert 0 <= float(shown.min()) <= float(shown.max()) <= 1
