"""Stages and classifiers found in networks of timm, torchvision and our own, beside the networks themselves."""

from __future__ import annotations

import json
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import nn

from dlkit.backbones import Backbone, BackboneOptions, Stage, Tap, build_backbone, image_form, restore_backbone
from dlkit.backbones.dissect import detach_classifier, find_classifier, find_stages, trace
from dlkit.backbones.measure import on_meta
from dlkit.errors import UsageError


def _anatomy(network: nn.Module, size: int) -> tuple[list[Stage], nn.Module | None]:
    network.eval()
    whole = trace(network, (3, size, size))
    path = find_classifier(network, whole)
    head = detach_classifier(network, path)
    return find_stages(network, whole, trace(network, (3, size, size)), path), head


@pytest.mark.parametrize(
    ("name", "size", "stages", "top"),
    [
        ("resnet50", 224, ["relu 64", "layer1 256", "layer2 512", "layer3 1024", "layer4 2048"], 2048),
        ("vgg11", 224, ["features.1 64", "features.4 128", "features.9 256", "features.14 512", "features.19 512",
                        "avgpool 512"], 4096),
        ("squeezenet1_1", 224, ["features.1 64", "features.4 128", "features.7 256", "features 512"], 512),
        ("mobilenet_v3_small", 224, ["features.0 16", "features.1 16", "features.3 24", "features.8 48",
                                     "features 576"], 1024),
        ("densenet121", 224, ["features.relu0 64", "features.denseblock1 256", "features.denseblock2 512",
                              "features.denseblock3 1024", "features 1024"], 1024),
        ("inception_v3", 299, ["Conv2d_1a_3x3 32", "Conv2d_2b_3x3 64", "Conv2d_4a_3x3 192", "Mixed_5d 288",
                               "Mixed_6e 768", "Mixed_7c 2048"], 2048),
        ("swin_t", 224, ["features.1 96", "features.3 192", "features.5 384", "permute 768"], 768),
    ],
)  # fmt: skip
def test_the_stages_of_torchvision_networks(name: str, size: int, stages: list[str], top: int) -> None:
    extra = {"init_weights": False} if name == "inception_v3" else {}
    with torch.device("meta"):
        network = torchvision.models.get_model(name, weights=None, **extra)
    found, head = _anatomy(network, size)
    assert [f"{stage.name} {stage.channels}" for stage in found] == [*stages, f"top {top}"]
    assert head is not None


def test_a_network_with_a_stage_per_block_keeps_six_of_them() -> None:
    with torch.device("meta"):
        network = torchvision.models.vit_b_32(weights=None)
    found, _ = _anatomy(network, 224)
    assert [stage.name for stage in found[:-1]] == [
        f"encoder.layers.encoder_layer_{block}" for block in (1, 3, 5, 7, 9, 11)
    ]
    assert {stage.axis for stage in found[:-1]} == {2}
    backbone = on_meta("vit_tiny_patch16_224", {})
    assert [stage.name for stage in backbone.stages] == [*(f"blocks.{block}" for block in (1, 3, 5, 7, 9, 11)), "top"]


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "mobilenetv3_small_050", "resnetv2_18"])
def test_the_classifier_on_the_top_features_gives_timms_own_logits(name: str) -> None:
    torch.manual_seed(0)
    network = timm.create_model(name).eval()
    size = network.pretrained_cfg["input_size"][1]
    images = torch.rand(2, 3, size, size)
    with torch.no_grad():
        expected = network(images)
        _, head = _anatomy(network, size)
        assert head is not None
        torch.testing.assert_close(head(network(images)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["resnet18", "mnasnet0_5", "shufflenet_v2_x0_5"])
def test_the_classifier_on_the_top_features_gives_torchvisions_own_logits(name: str) -> None:
    torch.manual_seed(0)
    network = torchvision.models.get_model(name, weights=None).eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected = network(images)
        _, head = _anatomy(network, 64)
        assert head is not None
        torch.testing.assert_close(head(network(images)), expected, rtol=1e-5, atol=1e-6)


def test_features_are_what_a_hook_sees_pooled_over_places() -> None:
    backbone = build_backbone(BackboneOptions(backbone="torchvision/resnet18", random_init=True))
    images = torch.rand(2, 3, 64, 64)
    torch.manual_seed(0)
    plain = torchvision.models.resnet18(weights=None).eval()
    plain.load_state_dict(backbone.network.state_dict(), strict=False)
    x = backbone.normalized(images)
    with torch.no_grad():
        x = plain.layer2(plain.layer1(plain.maxpool(plain.relu(plain.bn1(plain.conv1(x))))))
        average, largest, flat = backbone.features(images, [Tap("layer2"), Tap("layer2", "max"), Tap("layer2", "flat")])
    torch.testing.assert_close(average, x.mean((2, 3)))
    torch.testing.assert_close(largest, x.amax((2, 3)))
    torch.testing.assert_close(flat, x.flatten(1))


def test_channels_last_maps_are_averaged_over_places() -> None:
    backbone = build_backbone(BackboneOptions(backbone="torchvision/swin_t", random_init=True))
    stage = backbone.stage("features.3")
    assert (stage.channels, stage.axis, stage.reduction) == (192, 3, 8)
    with torch.no_grad():
        assert backbone.features(torch.rand(1, 3, 224, 224), [Tap("features.3")])[0].shape == (1, 192)


class Small(nn.Module):
    """Two convolutions with strides; used as a callable."""

    def __init__(self, width: int = 4, classes: int = 0, padding: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, 2, padding)
        self.second = nn.Conv2d(width, 2 * width, 3, 2, padding)
        self.head = nn.Linear(2 * width, classes) if classes else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.second(self.first(x).relu()).relu()
        return x if self.head is None else self.head(x.mean((2, 3)))


def not_a_network() -> int:
    return 3


HERE = "test_backbone_anatomy"


def _small(*arguments: str) -> Backbone:
    return build_backbone(BackboneOptions(backbone=f"{HERE}:Small", backbone_arg=arguments, random_init=True))


def test_a_callable_gets_its_arguments_and_maps_are_pooled() -> None:
    backbone = _small("width=6")
    assert [(s.name, s.channels, s.reduction) for s in backbone.stages] == [
        ("first", 6, 2),
        ("second", 12, 4),
        ("top", 12, 0),
    ]
    assert backbone(torch.rand(2, 3, 32, 32)).shape == (2, 12)
    assert backbone.classifier is None


def test_a_last_linear_layer_of_a_callable_is_its_classifier() -> None:
    torch.manual_seed(0)
    options = BackboneOptions(backbone=f"{HERE}:Small", backbone_arg=("classes=5",))
    backbone = build_backbone(options)
    assert isinstance(backbone.classifier, nn.Linear)
    assert backbone.classifier.out_features == 5
    assert backbone(torch.rand(2, 3, 32, 32)).shape == (2, 8)
    assert any("may be random" in notice for notice in backbone.origin.notices)
    assert any("ImageNet's" in notice for notice in backbone.origin.notices)


@pytest.mark.parametrize(
    ("reference", "arguments", "message"),
    [
        ("nothing.of.the.kind:build", (), "there is no module 'nothing'"),
        (f"{HERE}:Smal", (), "has no 'Smal'"),
        (f"{HERE}:HERE", (), "is a str, not a function"),
        (f"{HERE}:not_a_network", (), "gave a int; expected a torch.nn.Module"),
        (f"{HERE}:Small", ("depth=3",), "unexpected keyword argument 'depth'"),
        ("resnet1888", (), "There is no backbone 'resnet1888'"),
        ("runs/vae/digits-001", (), "is named run:runs/vae/digits-001"),
        ("resnet18.no_such_weights", (), "There are no weights 'no_such_weights'"),
        ("torchvision/resnet1888", (), "has no classifier of that name.\nDid you mean 'torchvision/resnet1"),
        ("torchvision/resnet18.V9", (), "There are no weights 'V9'"),
        ("resnet18", ("no_such=1",), "timm cannot build 'resnet18' with no_such=1"),
        ("resnet18", ("pretrained=True",), "not for you to set"),
    ],
)
def test_what_cannot_be_built_is_told(reference: str, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_backbone(BackboneOptions(backbone=reference, backbone_arg=arguments, random_init=True))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("test_resnet", ()), ("test_vit", ()), ("torchvision/squeezenet1_1", ()), (f"{HERE}:Small", ("classes=3",)),
     ("test_resnet", ("in_chans=1",))],
)  # fmt: skip
def test_a_backbone_is_restored_from_its_recipe(name: str, arguments: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    options = BackboneOptions(backbone=name, backbone_arg=arguments, random_init=True)
    backbone = build_backbone(options)
    again = restore_backbone(options, json.loads(json.dumps(backbone.origin.recipe)))
    assert again.fingerprint() != backbone.fingerprint()
    again.load_state_dict(backbone.state_dict())
    assert again.stages == backbone.stages
    assert (again.form, again.origin) == (backbone.form, backbone.origin)
    images = torch.rand(1, backbone.channels, backbone.form.height, backbone.form.width)
    with torch.no_grad():
        assert torch.equal(again(images), backbone(images))
    assert again.fingerprint() == backbone.fingerprint()


def test_the_fingerprint_knows_padding_weights_and_normalisation() -> None:
    torch.manual_seed(0)
    one, other = _small("padding=1"), _small("padding=0")
    other.load_state_dict(one.state_dict())
    assert one.fingerprint() != other.fingerprint()
    before = one.fingerprint()
    one.mean += 0.01
    assert one.fingerprint() != before


def test_preprocessing_is_the_weights_own() -> None:
    squeezenet = image_form(BackboneOptions(backbone="torchvision/squeezenet1_0"))
    assert (squeezenet.height, squeezenet.crop, squeezenet.interpolation) == (224, 224 / 256, "bilinear")
    newer = image_form(BackboneOptions(backbone="torchvision/resnet50"))
    older = image_form(BackboneOptions(backbone="torchvision/resnet50.IMAGENET1K_V1"))
    assert (newer.crop, older.crop) == (224 / 232, 224 / 256)
    timms = image_form(BackboneOptions(backbone="resnet50.a1_in1k"))
    assert (timms.height, timms.crop, timms.interpolation) == (224, 0.95, "bicubic")


def test_networks_of_fixed_size_adapt_or_say_which_size_they_take() -> None:
    options = BackboneOptions(backbone="test_vit", random_init=True)
    backbone = build_backbone(options, size=(96, 96))
    assert (backbone.form.height, backbone.form.width) == (96, 96)
    again = restore_backbone(options, backbone.origin.recipe)
    again.load_state_dict(backbone.state_dict())
    assert again(torch.rand(1, 3, 96, 96)).shape == (1, 64)
    fixed = BackboneOptions(backbone="torchvision/vit_b_32", random_init=True)
    with pytest.raises(UsageError, match=r"cannot take images of 96 × 96.*\n.*224 × 224"):
        build_backbone(fixed, size=(96, 96))


def test_grey_is_repeated_and_colour_made_grey() -> None:
    colour = _small()
    grey = torch.rand(2, 1, 16, 16)
    assert torch.equal(colour(grey), colour(grey.expand(-1, 3, -1, -1)))
    one = build_backbone(BackboneOptions(backbone="test_resnet", backbone_arg=("in_chans=1",), random_init=True))
    white = torch.ones(1, 3, 32, 32)
    torch.testing.assert_close(one(white), one(white[:, :1]))


def test_random_weights_are_said_to_be_random() -> None:
    backbone = build_backbone(BackboneOptions(backbone="test_resnet", random_init=True))
    assert backbone.origin.weights == "random"
    assert any("random weights" in notice for notice in backbone.origin.notices)
    assert backbone.classifier is None


def test_gradients_reach_the_weights() -> None:
    backbone = _small()
    backbone(torch.rand(1, 3, 16, 16)).sum().backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())


@pytest.mark.parametrize(("name", "size"), [("levit_128s", 384), ("deit_tiny_distilled_patch16_224", 192)])
def test_networks_with_two_classifiers_lose_both(name: str, size: int) -> None:
    assert on_meta(name, {}).size == size


def test_timms_conv_heads_and_heads_with_hidden_layers_give_the_top_that_comes_out() -> None:
    for name, size in (("resnetv2_50x1_bit", 2048), ("test_convnext", 64), ("efficientvit_b0", 1280)):
        assert on_meta(name, {}).size == size, name


def test_a_network_that_looks_at_values_while_it_is_built_is_built_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    create = timm.create_model

    def looks(*words: Any, **options: Any) -> Any:
        torch.ones(1).item()  # which a tensor on the meta device does not have
        return create(*words, **options)

    monkeypatch.setattr(timm, "create_model", looks)
    assert on_meta("resnet10t", {}).size == 512
