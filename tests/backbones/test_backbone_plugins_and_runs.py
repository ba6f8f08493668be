"""Backbones of third parties, and encoders of earlier runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from dlkit.backbones import BackboneCard, BackboneOptions, build_backbone, image_form, restore_backbone
from dlkit.discovery import registry
from dlkit.errors import DataError, UsageError
from dlkit.run import open_run

CARD = BackboneCard(
    name="tiny-net",
    summary="Four filters.",
    builder="test_backbone_plugins_and_runs:tiny",
    image_size=(20, 24),
    mean=(0.5, 0.5, 0.5),
    std=(0.25, 0.25, 0.25),
    licence="MIT",
)


def tiny(width: int = 4) -> nn.Module:
    network = nn.Sequential(
        nn.Conv2d(3, width, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 3)
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(0.25)
    return network


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a distribution were installed whose hook yields these cards."""
    rival = BackboneCard(name="resnet18", summary="Not timm's.", builder=CARD.builder)
    untrained = BackboneCard(name="bare-net", summary="No weights.", builder=CARD.builder, pretrained=False)
    cards = {card.name: card for card in (CARD, rival, untrained)}
    listed: Callable[[str], object] = registry().listed
    monkeypatch.setattr(registry(), "listed", lambda kind: cards if kind == "backbones" else listed(kind))


@pytest.mark.usefixtures("plugin")
def test_a_plugins_backbone_is_reached_by_its_name() -> None:
    options = BackboneOptions(backbone="tiny-net", backbone_arg=("width=6",))
    form = image_form(options)
    assert (form.height, form.width) == (20, 24)
    backbone = build_backbone(options)
    assert (backbone.size, backbone.origin.licence, backbone.origin.notices) == (6, "MIT", ())
    images = torch.rand(2, 3, 20, 24)
    with torch.no_grad():
        torch.testing.assert_close(backbone(images), tiny(6)[:-1]((images - 0.5) / 0.25))
    assert isinstance(backbone.classifier, nn.Linear)
    again = restore_backbone(options, json.loads(json.dumps(backbone.origin.recipe)))
    again.load_state_dict(backbone.state_dict())


@pytest.mark.usefixtures("plugin")
def test_a_plugins_name_wins_over_nothing_built_in() -> None:
    backbone = build_backbone(BackboneOptions(backbone="resnet18", random_init=True))
    assert backbone.size == 512
    with pytest.raises(UsageError, match="Did you mean 'tiny-net'"):
        build_backbone(BackboneOptions(backbone="tinynet", random_init=True))


@pytest.mark.usefixtures("plugin")
def test_a_plugins_random_network_is_asked_for_by_that_word() -> None:
    with pytest.raises(UsageError, match="There are no published weights of 'bare-net'"):
        build_backbone(BackboneOptions(backbone="bare-net"))
    backbone = build_backbone(BackboneOptions(backbone="bare-net", random_init=True))
    assert any("random weights" in notice for notice in backbone.origin.notices)


def test_the_encoder_of_a_run_is_a_backbone(trained: Path, tmp_path: Path) -> None:
    run = open_run(str(trained))
    options = BackboneOptions(backbone=f"run:{trained}")
    form = image_form(options)
    assert (form.height, form.width, form.channels) == (run.spec.height, run.spec.width, run.spec.channels)
    backbone = build_backbone(options)
    images = torch.rand(3, *run.spec.shape)
    with torch.no_grad():
        expected = run.load_technique().encode(images)  # type: ignore[attr-defined]
        assert torch.equal(backbone(images), expected)
    assert backbone.classifier is None
    backbone(images).sum().backward()
    assert any(parameter.grad is not None for parameter in backbone.parameters())


def test_a_run_that_is_gone_is_not_needed_to_restore_its_encoder(trained: Path, tmp_path: Path) -> None:
    copy = tmp_path / "runs" / "autoencoder" / "copy-001"
    shutil.copytree(trained, copy)
    options = BackboneOptions(backbone=f"run:{copy}")
    backbone = build_backbone(options)
    shutil.rmtree(tmp_path / "runs")
    again = restore_backbone(options, json.loads(json.dumps(backbone.origin.recipe)))
    again.load_state_dict(backbone.state_dict())
    images = torch.rand(3, *open_run(str(trained)).spec.shape)
    with torch.no_grad():
        assert torch.equal(again(images), backbone(images))
    assert again.fingerprint() == backbone.fingerprint()


def test_what_does_not_go_with_a_run_is_told(trained: Path) -> None:
    with pytest.raises(UsageError, match="--random-init does not go with --backbone run:"):
        build_backbone(BackboneOptions(backbone=f"run:{trained}", random_init=True))
    with pytest.raises(UsageError, match="--weights does not go"):
        image_form(BackboneOptions(backbone=f"run:{trained}", weights="w.pth"))
    with pytest.raises(UsageError, match="No run 'nowhere'"):
        build_backbone(BackboneOptions(backbone="run:nowhere"))


def test_a_technique_whose_weights_are_outside_its_modules_is_refused(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    implementation = open_run(str(trained)).settings.card.load()
    original = implementation.encode  # type: ignore[attr-defined]

    def encode(self: object, images: torch.Tensor) -> torch.Tensor:
        self.hidden = getattr(self, "hidden", None) or torch.rand(()).item() + 1  # type: ignore[attr-defined]
        return original(self, images) * self.hidden  # type: ignore[attr-defined, no-any-return]

    monkeypatch.setattr(implementation, "encode", encode)
    with pytest.raises(DataError, match="cannot be reused as a backbone: a copy of its modules gives another code"):
        build_backbone(BackboneOptions(backbone=f"run:{trained}"))
