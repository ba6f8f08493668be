from __future__ import annotations

import copy
from typing import Any

import feature_fakes as fakes
import pytest
import torch
from torch import Tensor, nn

from dlkit.backbones import Backbone
from dlkit.features.folding import fold_batch_norm


def check(backbone: Backbone, folded: int) -> Backbone:
    """As many as expected are folded, and every stage gives what it gave."""
    images, taps = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)), fakes.all_taps(backbone)
    private = copy.deepcopy(backbone)
    assert fold_batch_norm(private, images[:1]) == folded
    with torch.no_grad():
        expected, found = backbone.features(images, taps), private.features(images, taps)
    for tap, one, other in zip(taps, expected, found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-4 * float(one.abs().max()), msg=str(tap))
    return private


@pytest.mark.parametrize(
    ("name", "folded", "left"),
    [
        ("resnet10t", 14, 0),
        ("test_resnet", 15, 0),
        ("mobilenetv3_small_050", 34, 0),
        ("repvgg_a0", 44, 17),  # its identity branches have no convolution
        ("test_vit", 0, 0),
    ],
)
def test_timm_networks_give_the_same(name: str, folded: int, left: int) -> None:
    private = check(fakes.named(name), folded)
    assert sum(isinstance(part, nn.BatchNorm2d) for part in private.modules()) == left


def test_torchvision_network_gives_the_same() -> None:
    import torchvision

    network = torchvision.models.shufflenet_v2_x0_5(weights=None)
    network.fc = nn.Identity()
    fakes.shake(network)
    check(fakes.wrapped(network, [("stage2", 48), ("conv5", 1024)], 1024), 56)


class Net(nn.Module):
    """conv → norm → the rest, with one oddity."""

    def __init__(self, oddity: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.oddity = oddity
        self.first, self.one = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        if oddity == "parametrised":
            nn.utils.parametrizations.weight_norm(self.second)
        self.two = nn.BatchNorm2d(4, track_running_stats=oddity != "batch statistics", affine=oddity != "no affine")
        if oddity != "no affine" and oddity != "batch statistics":
            fakes.shake(self)
        else:
            fakes.shake(self.one)

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(self.first(x)).relu()
        y = self.second(x)
        z = self.two(y)
        if self.oddity == "used elsewhere":
            z = z + y
        if self.oddity == "convolution twice":
            z = z + self.second(x + 1)
        if self.oddity == "norm twice":
            z = self.two(z)
        if self.oddity == "looked at":
            assert y.shape[1] == y.size(1) == 4
        return z.mean((2, 3))


@pytest.mark.parametrize(
    ("oddity", "folded"),
    [
        ("", 2), ("no affine", 2), ("looked at", 2), ("used elsewhere", 1), ("convolution twice", 1),
        ("norm twice", 1), ("parametrised", 1), ("batch statistics", 1),
    ],
)  # fmt: skip
def test_only_what_nobody_else_sees_is_folded(oddity: str, folded: int) -> None:
    check(fakes.wrapped(Net(oddity), [], 4), folded)


@pytest.mark.parametrize(("stage", "folded"), [("second", 1), ("two", 2), ("one", 2), ("first", 1)])
def test_tapped_convolutions_and_norms_keep_their_values(stage: str, folded: int) -> None:
    check(fakes.wrapped(Net(""), [(stage, 4)], 4), folded)


def test_a_stage_that_ends_with_a_convolution_keeps_its_values() -> None:
    class Nested(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.norm = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 5, 1)), nn.BatchNorm2d(5)
            fakes.shake(self)

        def forward(self, x: Tensor) -> Any:
            return self.norm(self.body(x)).mean((2, 3))

    check(fakes.wrapped(Nested(), [("body", 5)], 5), 0)
    check(fakes.wrapped(Nested(), [], 5), 1)
