"""`dlkit list backbones` and `dlkit info BACKBONE`: counts beside published and independent ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import nn

from dlkit.backbones import catalog
from dlkit.backbones.measure import Outputs, costs, count, draft_on_meta
from dlkit.backbones.preprocessing import Preprocessing
from dlkit.backbones.source import Draft
from dlkit.cli.main import main
from dlkit.data.spec import ImageForm


@pytest.fixture(autouse=True)
def _no_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("DLKIT_HOME", str(tmp_path / "home"))


def _draft(network: nn.Module, size: int) -> Draft:
    form = ImageForm(height=size, width=size)
    return Draft(network=network, preprocessing=Preprocessing(form=form))


def test_counts_of_a_convolution_are_the_closed_form() -> None:
    network = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1, bias=False), nn.ReLU(), nn.Conv2d(5, 2, 1), nn.Flatten())
    counted = costs(_draft(network, 8))
    places = 8 * 8
    assert counted.parameters == 3 * 5 * 9 + 5 * 2 + 2
    assert counted.activations == (5 + 2) * places
    assert counted.all_outputs == (5 + 5 + 2) * places
    assert counted.multiply_adds == (3 * 5 * 9 + 5 * 2) * places
    assert counted.weight_bytes == 4 * counted.parameters
    assert counted.forward_bytes == 4 * places * (3 + 5 + 5)  # the image, the convolution's output, that of ReLU
    assert counted.training_bytes == 4 * places * (3 + 5)  # the convolutions' inputs; ReLU keeps its output, the same
    memory = counted.memory(4)
    assert memory["forward"] == counted.weight_bytes + 4 * counted.forward_bytes
    assert memory["training"] == 4 * counted.weight_bytes + 4 * counted.training_bytes


@pytest.mark.parametrize(
    ("name", "parameters", "activations", "multiply_adds"),
    [  # in millions, as timm's benchmark tables have them; ResNet-50 also Radosavovic et al. 2020
        ("resnet50", 25.56, 11.11, 4089),
        ("vit_small_patch16_224", 22.05, 11.95, 4600),
        ("mobilenetv2_100", 3.50, 6.68, 301),
        ("torchvision/resnet18", 11.69, 2.48, 1814),
    ],
)
def test_counts_are_the_published_ones(name: str, parameters: float, activations: float, multiply_adds: float) -> None:
    draft = draft_on_meta(name, {})
    outputs, found = count(draft, (224, 224))
    assert sum(p.numel() for p in draft.network.parameters()) / 1e6 == pytest.approx(parameters, abs=0.005)
    assert outputs.products / 1e6 == pytest.approx(activations, abs=0.005)
    assert found / 1e6 == pytest.approx(multiply_adds, rel=0.002)


def test_what_lecture_notes_say_of_fifty_layers() -> None:
    counted = costs(draft_on_meta("resnet50", {}))
    assert counted.parameters == 25_557_032  # "26 M weights"
    assert counted.activations == 11_114_984
    assert counted.activations + counted.sums == 16_634_344  # "16 M activations": with the residual sums
    assert counted.all_outputs == 37_559_784


def test_forward_memory_is_what_is_alive_at_once() -> None:
    network = nn.Sequential(*[nn.Conv2d(3, 3, 3, padding=1, bias=False) for _ in range(5)]).to("meta")
    outputs = Outputs(network)
    with outputs, torch.no_grad():
        network(torch.empty(1, 3, 8, 8, device="meta"))
    assert outputs.peak == 4 * 3 * 64 * 3  # the image, which the caller holds, an input and an output


def _json(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_list_counts_where_few_match(capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = _json(capsys, "list", "backbones", "test_resnet*")
    assert (row["name"], row["source"], row["input"]) == ("test_resnet.r160_in1k", "timm", [3, 160, 160])
    assert (row["features"], row["licence"]) == (96, "apache-2.0")
    assert row["parameters"] == sum(p.numel() for p in timm.create_model("test_resnet").parameters())
    rows = _json(capsys, "list", "backbones", "torchvision/squeezenet")
    assert {row["name"] for row in rows} == {
        "torchvision/squeezenet1_0.IMAGENET1K_V1", "torchvision/squeezenet1_1.IMAGENET1K_V1"
    }  # fmt: skip
    assert {row["cached"] for row in rows} == {False}
    assert {row["features"] for row in rows} == {512}


@pytest.mark.parametrize("broken", ["", "[]", '{"test_resnet (3, 160, 160)": [1, "x", 3]}'])
def test_what_was_counted_is_kept(
    broken: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It took a third of a second for each network, each time."""
    words = "list", "backbones", "test_resnet*"
    rows = _json(capsys, *words)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(catalog, "_numbers", None)  # nothing is counted
        assert _json(capsys, *words) == rows
        elsewhere.setattr(timm, "__version__", "99")
        elsewhere.setattr(catalog, "_numbers", lambda *_: [1, 2, 3])
        assert _json(capsys, *words)[0]["features"] == 3
    catalog._numbers_file().write_text(broken)
    assert _json(capsys, *words) == rows


def test_list_names_all_and_says_how_to_get_more(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "backbones"]) == 0
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) > 1500
    assert "give a narrower PATTERN" in shown.err
    assert main(["list", "backbones", "no-such-network"]) == 0
    assert "There are no backbones like" in capsys.readouterr().err


def test_cached_weights_are_marked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from torchvision.models import SqueezeNet1_0_Weights

    checkpoints = tmp_path / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / Path(SqueezeNet1_0_Weights.DEFAULT.url).name).touch()
    (row,) = _json(capsys, "list", "backbones", "torchvision/squeezenet1_0")
    assert row["cached"] is True


def test_info_of_a_backbone(capsys: pytest.CaptureFixture[str]) -> None:
    facts = _json(capsys, "info", "test_resnet", "--image-size", "64x96")
    assert facts["image_size"] == [64, 96]
    assert {"name": "layer2", "channels": 48, "reduction": 8, "map": [8, 12]} in facts["stages"]
    assert facts["stages"][-1] == {"name": "top", "channels": 96, "reduction": 0, "map": []}
    assert set(facts["memory"]) == {"1", "8", "32", "64"}
    wider = _json(capsys, "info", "test_resnet", "--backbone-arg", "num_classes=10")
    assert wider["parameters"] == facts["parameters"] - 990 * (96 + 1)
    assert main(["info", "test_vit"]) == 0
    assert "blocks.5" in capsys.readouterr().out


def test_info_of_a_runs_encoder(capsys: pytest.CaptureFixture[str], trained: Path) -> None:
    facts = _json(capsys, "info", f"run:{trained}")
    assert facts["stages"][-1]["channels"] == 6


def test_info_prefers_techniques_and_knows_neither(capsys: pytest.CaptureFixture[str]) -> None:
    assert _json(capsys, "info", "autoencoder")["task"] == "representation"
    for words, message in (
        (["info", "resnet5000"], "There is no technique or backbone 'resnet5000'.\nDid you mean 'resnet50'?"),
        (["info", "autoencodr"], "There is no technique or backbone 'autoencodr'.\nDid you mean 'autoencoder'?"),
        (["info", "autoencoder", "--image-size", "64"], "is a technique; --backbone-arg and --image-size"),
        (["info", "test_resnet", "--image-size", "big"], "--image-size: expected a size"),
        (["info", "test_resnet", "--backbone-arg", "width"], "--backbone-arg takes KEY=VALUE"),
    ):
        assert main(words) == 2
        assert message in capsys.readouterr().err
