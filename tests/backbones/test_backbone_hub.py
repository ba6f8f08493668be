"""Fetching published weights: the hub's protocol on 127.0.0.1, the caches, what the environment says."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import huggingface_hub.constants as hub_constants
import pytest
import torch
import torchvision
from hub_server import OPTIONS, REPOSITORY, Hub
from safetensors.torch import save

from dlkit.backbones import BackboneOptions, build_backbone, fetched_form, image_form
from dlkit.backbones import hub as hub_module
from dlkit.errors import DataError


def test_weights_come_from_the_hub_once_and_then_from_the_cache(hub: Hub, network: torch.nn.Module) -> None:
    hub.files[f"{REPOSITORY}/model.safetensors"] = save(network.state_dict())
    backbone = build_backbone(OPTIONS)
    assert backbone.origin.weights == REPOSITORY
    assert backbone.origin.licence == "apache-2.0"
    assert backbone.origin.classes[310].startswith("ant")
    images = torch.rand(1, 3, 160, 160)
    with torch.no_grad():
        assert backbone.classifier is not None
        torch.testing.assert_close(backbone.classifier(backbone(images)), network(backbone.normalized(images)))
    assert any(line.startswith(f"GET /{REPOSITORY}/resolve/") for line in hub.asked)
    hub.asked.clear()
    build_backbone(OPTIONS)
    assert hub.asked == []


def test_pickled_weights_of_the_hub_are_read_without_executing(
    hub: Hub, network: torch.nn.Module, tmp_path: Path
) -> None:
    torch.save(network.state_dict(), tmp_path / "w.bin")
    hub.files[f"{REPOSITORY}/pytorch_model.bin"] = (tmp_path / "w.bin").read_bytes()
    own = build_backbone(OPTIONS).network.state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in network.state_dict().items() if name in own)


def test_another_number_of_classes_leaves_no_random_classifier(hub: Hub, network: torch.nn.Module) -> None:
    hub.files[f"{REPOSITORY}/model.safetensors"] = save(network.state_dict())
    backbone = build_backbone(BackboneOptions(backbone="test_resnet", backbone_arg=("num_classes=7",)))
    assert backbone.classifier is None
    assert backbone.origin.classes == ()


def test_what_is_not_there_is_told(hub: Hub) -> None:
    with pytest.raises(DataError, match="has no such repository, or it is private"):
        build_backbone(OPTIONS)
    hub.files[f"{REPOSITORY}/README.md"] = b""
    with pytest.raises(DataError, match=r"has no model.safetensors or pytorch_model.bin of it"):
        build_backbone(OPTIONS)


def test_weights_that_are_broken_in_the_cache_are_told(hub: Hub) -> None:
    hub.files[f"{REPOSITORY}/model.safetensors"] = b"not weights"
    with pytest.raises(DataError, match=r"model.safetensors' cannot be read.*\nRemove this file"):
        build_backbone(OPTIONS)


def test_the_form_of_images_needs_no_network(hub: Hub) -> None:
    image_form(OPTIONS)
    image_form(BackboneOptions(backbone="torchvision/resnet18"))
    assert hub.asked == []


def test_weights_are_fetched_before_images_are_read(hub: Hub, network: torch.nn.Module, tmp_path: Path) -> None:
    from dlkit.cli.main import main

    assert main(["transfer", "--backbone", "test_resnet", "--data", "digits", "--runs", str(tmp_path / "runs")]) == 3
    assert not (tmp_path / "runs").exists()
    hub.files[f"{REPOSITORY}/model.safetensors"] = save(network.state_dict())
    assert fetched_form(OPTIONS) == image_form(OPTIONS)
    hub.asked.clear()
    build_backbone(OPTIONS)
    assert hub.asked == []


def test_offline_nobody_is_asked(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match="HF_HUB_OFFLINE is set"):
        build_backbone(OPTIONS)
    with pytest.raises(DataError, match="HF_HUB_OFFLINE is set"):
        build_backbone(BackboneOptions(backbone="torchvision/squeezenet1_1"))
    assert hub.asked == []


def test_the_environments_variables_are_honoured(hub: Hub, network: torch.nn.Module, tmp_path: Path) -> None:
    hub.files[f"{REPOSITORY}/model.safetensors"] = save(network.state_dict())
    code = (
        "from dlkit.backbones import BackboneOptions, build_backbone; "
        "print(build_backbone(BackboneOptions(backbone='test_resnet')).origin.weights)"
    )
    environment = {
        **os.environ,
        "HF_HOME": str(tmp_path / "home"),
        "HF_ENDPOINT": hub.url,
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    environment.pop("HF_HUB_CACHE", None)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == REPOSITORY
    assert (tmp_path / "home" / "hub" / f"models--{REPOSITORY.replace('/', '--')}").is_dir()


def test_torchvisions_weights_come_from_torchs_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hub: Hub) -> None:
    torch.manual_seed(0)
    network = torchvision.models.squeezenet1_1(weights=None).eval()
    torch.save(network.state_dict(), tmp_path / "w.pth")
    digest = hashlib.sha256((tmp_path / "w.pth").read_bytes()).hexdigest()
    url = f"{hub.url}/models/squeezenet1_1-{digest[:8]}.pth"
    weights = torchvision.models.SqueezeNet1_1_Weights.DEFAULT
    monkeypatch.setattr(type(weights), "url", url)
    cached = tmp_path / "torch" / "hub" / "checkpoints" / Path(url).name
    cached.parent.mkdir(parents=True)
    cached.write_bytes((tmp_path / "w.pth").read_bytes())
    backbone = build_backbone(BackboneOptions(backbone="torchvision/squeezenet1_1"))
    assert hub.asked == []
    assert backbone.origin.weights == "torchvision/squeezenet1_1.IMAGENET1K_V1"
    assert backbone.origin.classes[310] == "ant"
    assert torch.equal(backbone.network.features[0].weight, network.features[0].weight)
    cached.write_bytes(b"something else")
    with pytest.raises(DataError, match="its SHA-256 is not the one in its name"):
        build_backbone(BackboneOptions(backbone="torchvision/squeezenet1_1"))


def test_a_url_is_fetched_checked_and_kept(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = os.urandom(100_000)
    digest = hashlib.sha256(content).hexdigest()
    hub.files[f"models/w-{digest[:8]}.pth"] = hub.files["models/w-00000000.pth"] = content
    good, bad = f"{hub.url}/models/resolve/v/w-{digest[:8]}.pth", f"{hub.url}/models/resolve/v/w-00000000.pth"
    path = hub_module.from_url(good)
    assert path.read_bytes() == content
    assert capsys.readouterr().out == ""
    with pytest.raises(DataError, match="another file: its SHA256 is not 00000000"):
        hub_module.from_url(bad)
    assert [kept.name for kept in path.parent.iterdir()] == [path.name]
    hub.asked.clear()
    assert hub_module.from_url(good) == path
    assert hub.asked == []
    with pytest.raises(DataError, match="404"):
        hub_module.from_url(f"{hub.url}/models/resolve/v/none.pth")
