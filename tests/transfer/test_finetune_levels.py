"""Which parameters belong to which stage, and at which rate they learn."""

from __future__ import annotations

import pytest
import torch
from dlkit_builtin.transfer.freezing import freeze, groups
from dlkit_builtin.transfer.levels import Finetuning, levels
from dlkit_builtin.transfer.network import Network
from finetune_fakes import network, options
from torch import Tensor, nn

from dlkit.backbones import Backbone, Stage, Tap
from dlkit.backbones.backbone import Origin
from dlkit.data.spec import ImageForm

SHAPE = (3, 32, 32)


def first_gradients(net: Network) -> dict[str, int]:
    """Parameter → index of the first stage whose output depends on it, by autograd: the definition itself."""
    backbone, found = net.backbone, dict[str, int]()
    parameters = {name: p.requires_grad_(True) for name, p in backbone.network.named_parameters()}
    outputs = backbone.eval().features(torch.rand(1, *SHAPE), [Tap(stage.name) for stage in backbone.stages])
    for index, output in enumerate(outputs):
        gradients = torch.autograd.grad(output.sum(), list(parameters.values()), retain_graph=True, allow_unused=True)
        for name, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None:
                found.setdefault(name, index)
    return found


@pytest.mark.parametrize(
    ("name", "given"),
    [("resnet10t", {}), ("mobilenetv2_100", {}), ("test_vit", {"img_size": 32}), ("convnext_atto", {}),
     ("densenet121", {}), ("test_byobnet", {})],
)  # fmt: skip
def test_levels_are_where_gradients_first_reach(name: str, given: dict[str, int]) -> None:
    net = network(name, **given)
    names = {parameter: key for key, parameter in net.backbone.network.named_parameters()}
    expected = first_gradients(net)
    stages = levels(net, SHAPE)
    found = {names[p]: index for index, level in enumerate(stages) for p in level.parameters(net)}
    assert found == expected
    assert [level.size for level in stages] == [
        sum(p.numel() for p, key in names.items() if expected[key] == index) for index in range(len(stages))
    ]


class Odd(nn.Module):
    """Registered in another order than it runs; a shared activation; weights that a parent uses; a part never run."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Conv2d(4, 5, 1)
        self.act = nn.ReLU()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)  # its out_proj is never called
        self.first = nn.Conv2d(3, 4, 4, 4)
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.first(x))
        tokens = x.flatten(2).transpose(1, 2)
        x = self.attention(tokens, tokens, tokens)[0].transpose(1, 2).reshape(x.shape) * self.scale
        found: Tensor = self.act(self.last(x)).mean((2, 3))
        return found


def test_levels_follow_the_forward_pass() -> None:
    backbone = Backbone(
        Odd(), [Stage("stem", "first", 4), Stage("middle", "attention", 4, 2), Stage("top", "", 5)],
        form=ImageForm(height=32, width=32), mean=(0, 0, 0), std=(1, 1, 1), origin=Origin(reference="odd"),
    )  # fmt: skip
    net = Network(backbone, [Tap("top")], nn.Linear(5, 3), network().objective)
    stages = levels(net, SHAPE)
    assert [(level.name, set(level.paths)) for level in stages] == [
        ("stem", {"", "first"}), ("middle", {"act", "attention", "attention.out_proj"}), ("top", {"last"}),
    ]  # fmt: skip
    assert len(stages[1].parameters(net)) == 4


def test_levels_end_at_the_last_tap() -> None:
    net = network(taps=(Tap("layer2"), Tap("layer1")))
    assert [level.name for level in levels(net, SHAPE)] == ["act1", "layer1", "layer2"]


@pytest.mark.parametrize(
    ("name", "plan", "first"),
    [
        ("resnet10t", Finetuning.top(), "layer4"),
        ("resnet10t", Finetuning.top("2"), "layer3"),
        ("resnet10t", Finetuning.top("layer2"), "layer2"),
        ("resnet10t", Finetuning.deep(), "layer2"),  # 5 stages: 3
        ("resnet10t", Finetuning.all(), "act1"),
        ("resnet10t", Finetuning.head_only(), None),
        ("mobilenetv2_100", Finetuning.top(), "blocks.6"),  # with the convolution that follows it
        ("mobilenetv2_100", Finetuning.top("top"), "top"),
    ],
)
def test_how_deep(name: str, plan: Finetuning, first: str | None) -> None:
    stages = levels(network(name), SHAPE)
    index = plan.first(stages)
    assert (stages[index].name if index < len(stages) else None) == first


def test_rates_by_the_formula() -> None:
    """η · f · d^(K − k); no weight decay on parameters of one dimension."""
    net = network("mobilenetv2_100")
    stages = levels(net, SHAPE)
    freeze(net, stages)
    found = groups(net, stages, 0, options(lr=0.1, backbone_lr_factor=0.5, layer_decay=0.8, weight_decay=0.03))
    rates = {p: (group["lr"], group["weight_decay"]) for group in found for p in group["params"]}
    exponents = [4, 3, 2, 1, 0, 0]  # the convolution after the last stage learns as that stage
    for level, exponent in zip(stages, exponents, strict=True):
        for parameter in level.parameters(net):
            decay = 0.03 if parameter.ndim > 1 else 0
            assert rates.pop(parameter) == (pytest.approx(0.1 * 0.5 * 0.8**exponent), decay)
    assert rates == {net.head.weight: (0.1, 0.03), net.head.bias: (0.1, 0.0)}
    assert found[0]["lr"] == 0.1  # what the record shows is the head's


def test_freezing_leaves_the_source_classifier_alone() -> None:
    net = network()
    net.backbone.classifier = nn.Linear(512, 1000)
    freeze(net, levels(net, SHAPE))
    assert not any(p.requires_grad for p in net.backbone.classifier.parameters())
    assert all(p.requires_grad for p in net.backbone.network.parameters())
