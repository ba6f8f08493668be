"""Weights files: what is matched, what is refused, what nothing is executed for."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from dlkit.backbones import BackboneOptions, build_backbone, image_form, restore_backbone
from dlkit.errors import DataError

ARCH = "timm test_resnet"


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return dict(timm.create_model("test_resnet").state_dict())


def _build(path: Path, name: str = "test_resnet", **options: Any) -> Any:
    return build_backbone(BackboneOptions(backbone=name, weights=str(path), **options))


def _same(backbone: Any, tensors: dict[str, torch.Tensor]) -> bool:
    own = backbone.network.state_dict()
    return all(torch.equal(own[name], tensors[name]) for name in own)


def test_safetensors_with_classifier(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file(
        tensors,
        tmp_path / "w.safetensors",
        {"arch": ARCH, "input": "3x64x48", "mean": "0.5,0.5,0.5", "std": "0.2,0.2,0.2"},
    )
    backbone = _build(tmp_path / "w.safetensors")
    assert _same(backbone, tensors)
    assert torch.equal(backbone.classifier.weight, tensors["fc.weight"])
    assert backbone.origin.weights == "w.safetensors"
    assert backbone.origin.notices == ()
    assert (backbone.form.height, backbone.form.width) == (64, 48)
    assert backbone.mean.flatten().tolist() == [0.5, 0.5, 0.5]
    form = image_form(BackboneOptions(backbone="test_resnet", weights=str(tmp_path / "w.safetensors")))
    assert form == backbone.form


@pytest.mark.parametrize("wrapper", ["state_dict", "model", None])
@pytest.mark.parametrize("prefix", ["module.", "module.backbone.", ""])
def test_state_dicts_as_scripts_save_them(
    tmp_path: Path, tensors: dict[str, torch.Tensor], wrapper: str | None, prefix: str
) -> None:
    named: Any = {prefix + name: tensor for name, tensor in tensors.items()}
    torch.save({wrapper: named, "epoch": 3} if wrapper else named, tmp_path / "w.pth")
    assert _same(_build(tmp_path / "w.pth"), tensors)


def test_a_classifier_of_another_size_is_dropped_with_a_word(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    tensors |= {"fc.weight": torch.zeros(7, tensors["fc.weight"].shape[1]), "fc.bias": torch.zeros(7)}
    save_file(tensors, tmp_path / "w.safetensors")
    backbone = _build(tmp_path / "w.safetensors")
    assert backbone.classifier is None
    assert _same(backbone, tensors)
    assert any("7 outputs in place of 1000" in notice for notice in backbone.origin.notices)


def test_weights_without_a_classifier(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("fc.")}
    save_file({**kept, "queue": torch.zeros(3)}, tmp_path / "w.safetensors")
    backbone = _build(tmp_path / "w.safetensors")
    assert backbone.classifier is None
    assert any("is not there" in notice for notice in backbone.origin.notices)
    assert any(
        "1 tensors that the network has not" in notice and "queue" in notice for notice in backbone.origin.notices
    )


def test_counters_of_batch_norm_may_be_missing(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    old = {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}
    save_file(old, tmp_path / "w.safetensors")
    assert _build(tmp_path / "w.safetensors").origin.notices == ()


def test_a_network_that_would_be_partly_random_is_refused(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    removed = [name for name in tensors if name.startswith("layer4.")]
    for name in removed:
        del tensors[name]
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(DataError, match=r"lacks \d+ of the network's tensors: layer4.*and \d+ more"):
        _build(tmp_path / "w.safetensors")


def test_other_shapes_are_refused(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    tensors["layer1.0.conv1.weight"] = torch.zeros(1, 2, 3, 3)
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(DataError, match=r"layer1.0.conv1.weight \[1, 2, 3, 3\] in place of"):
        _build(tmp_path / "w.safetensors")


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    save_file({"a.b": torch.zeros(3), "c": torch.zeros(2)}, tmp_path / "w.safetensors")
    with pytest.raises(DataError, match=r"none of its 2 names matches"):
        _build(tmp_path / "w.safetensors")


class Hostile:
    def __reduce__(self) -> Any:
        return (os.mkdir, (os.environ["PLANTED"],))


@pytest.mark.parametrize("form", ["pickle", "zip", "wrapped"])
def test_a_hostile_pickle_is_refused_and_executes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, tensors: dict[str, torch.Tensor]
) -> None:
    planted = tmp_path / "planted"
    monkeypatch.setenv("PLANTED", str(planted))
    path = tmp_path / "w.pth"
    if form == "pickle":
        path.write_bytes(pickle.dumps({"state_dict": Hostile()}))
    else:
        torch.save({"state_dict": tensors, "hook": Hostile()} if form == "wrapped" else Hostile(), path)
    with pytest.raises(DataError, match="is refused: it holds objects"):
        _build(path)
    assert not planted.exists()
    if form == "pickle":  # the trap works
        pickle.loads(path.read_bytes())
    else:
        torch.load(path, weights_only=False)
    assert planted.is_dir()


@pytest.mark.parametrize(
    ("name", "content"), [("w.safetensors", b"\x05"), ("w.pth", b"hello"), ("w.pth", b""), ("w.bin", b"PK\x03\x04")]
)
def test_broken_files_are_told(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError):
        _build(tmp_path / name)


def test_missing_files_and_files_without_tensors_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no file of weights"):
        _build(tmp_path / "none.pth")
    torch.save({"epoch": 3}, tmp_path / "w.pth")
    with pytest.raises(DataError, match="holds no state dict"):
        _build(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("arch", "advice"),
    [
        ("timm test_resnet, pad_type='same'", "Use --backbone-arg pad_type=same"),
        ("timm resnet18, base_width=32", "Use --backbone resnet18 --backbone-arg base_width=32"),
        ("torchvision.resnet18", "Use --backbone torchvision/resnet18"),
    ],
)
def test_what_a_file_says_of_its_architecture_is_checked(
    tmp_path: Path, tensors: dict[str, torch.Tensor], arch: str, advice: str
) -> None:
    save_file(tensors, tmp_path / "w.safetensors", {"arch": arch})
    with pytest.raises(DataError) as told:
        _build(tmp_path / "w.safetensors")
    assert arch in told.value.message
    assert told.value.hint == advice


def test_same_padding_is_asked_for_and_then_used(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = timm.create_model("mobilenetv2_035", pad_type="same").eval()
    save_file(
        network.state_dict(),
        tmp_path / "w.safetensors",
        {"arch": "timm mobilenetv2_035, pad_type='same'", "input": "3x64x64"},
    )
    with pytest.raises(DataError, match="what was built is 'timm mobilenetv2_035'"):
        _build(tmp_path / "w.safetensors", "mobilenetv2_035")
    backbone = _build(tmp_path / "w.safetensors", "mobilenetv2_035", backbone_arg=("pad_type=same",))
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = network(backbone.normalized(images))
        torch.testing.assert_close(backbone.classifier(backbone(images)), expected)
        loose = timm.create_model("mobilenetv2_035").eval()
        loose.load_state_dict(network.state_dict())  # loads without a word
        assert not torch.allclose(loose(backbone.normalized(images)), expected, atol=1e-3)


def test_a_callable_is_known_by_its_variant(tmp_path: Path) -> None:
    torch.manual_seed(0)
    arguments = ("variant=mobilenetv1_100", "channel_multiplier=0.25", "pad_type=same")
    build = "timm.models.efficientnet:_gen_mobilenet_v1"
    network = timm.models.efficientnet._gen_mobilenet_v1("mobilenetv1_100", channel_multiplier=0.25, pad_type="same")
    arch = "timm mobilenetv1_100, channel_multiplier=0.25, pad_type='same'"
    meta = {"arch": arch, "mean": "0.5,0.5,0.5", "std": "0.5,0.5,0.5", "input": "3x32x32"}
    save_file(network.state_dict(), tmp_path / "w.safetensors", meta)
    backbone = _build(tmp_path / "w.safetensors", build, backbone_arg=arguments)
    assert backbone.size == 256
    assert backbone.origin.notices == ()
    with pytest.raises(DataError, match="mobilenetv1_100"):
        _build(tmp_path / "w.safetensors", build, backbone_arg=arguments[:2])


def test_statements_that_cannot_be_compared_and_arguments_of_ones_own_are_told(
    tmp_path: Path, tensors: dict[str, torch.Tensor]
) -> None:
    save_file(tensors, tmp_path / "w.safetensors", {"arch": "keras ResNet"})
    assert "cannot be compared" in _build(tmp_path / "w.safetensors").origin.notices[0]
    save_file(tensors, tmp_path / "w.safetensors", {"arch": ARCH})
    told = _build(tmp_path / "w.safetensors", backbone_arg=("drop_path_rate=0.1",)).origin.notices[0]
    assert "drop_path_rate, which it does not mention" in told


def test_unreadable_metadata_are_told(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file(tensors, tmp_path / "w.safetensors", {"mean": "grey"})
    with pytest.raises(DataError, match="mean = 'grey'"):
        _build(tmp_path / "w.safetensors")


def test_squeezenets_last_convolution_is_its_classifier(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = torchvision.models.squeezenet1_1(weights=None).eval()
    save_file(network.state_dict(), tmp_path / "w.safetensors", {"arch": "torchvision.squeezenet1_1"})
    backbone = _build(tmp_path / "w.safetensors", "torchvision/squeezenet1_1")
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        maps = network.features(backbone.normalized(images))
        torch.testing.assert_close(backbone(images), maps.mean((2, 3)))
        expected = network.classifier[1](maps).mean((2, 3))  # but for the ReLU between
        torch.testing.assert_close(backbone.classifier(backbone(images)), expected)
    assert any("its logits are approximate" in notice for notice in backbone.origin.notices)
    again = restore_backbone(BackboneOptions(backbone="torchvision/squeezenet1_1"), backbone.origin.recipe)
    assert again.origin == backbone.origin
