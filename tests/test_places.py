"""Places on this machine: a run finds them from any directory, and an exported file does not tell them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dlkit.backbones import BackboneOptions, build_backbone
from dlkit.cli.main import main
from dlkit.discovery import registry
from dlkit.options import Options, options_of
from dlkit.places import anchored, portable
from dlkit.run import open_run
from dlkit.settings import all_options, resolve

SMALL = ["--strategy", "linear-probe", "--image-size", "32", "--threads", "1", "--quiet", "--no-cache"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, shapes_npz: Path) -> Path:
    """A folder with data, weights, and runs that all named one another by relative paths: two, and their ensemble."""
    folder = tmp_path_factory.mktemp("home-of-ann")
    np.savez(folder / "shapes.npz", **np.load(shapes_npz))
    torch.manual_seed(0)
    network = build_backbone(BackboneOptions(backbone="test_resnet", random_init=True)).network
    save_file(dict(network.state_dict()), folder / "own.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("dlkit.session.save_pictures", lambda *_: None)
        words = ["--data", "shapes.npz", "--runs", "elsewhere", *SMALL]
        assert main(["transfer", *words, "--backbone", "test_resnet", "--weights", "own.safetensors"]) == 0
        assert main(["transfer", *words, "--backbone", "run:latest", "--seeds", "2"]) == 0
        members = "shapes-001,elsewhere/transfer/shapes-002"
        assert main(["ensemble", "--members", members, "--data", "shapes.npz", "--runs", "elsewhere", "--quiet"]) == 0
    return folder


RUNS = ("transfer/shapes-001", "transfer/shapes-002", "transfer/shapes-003", "ensemble/shapes-001")


def test_a_run_keeps_where_its_places_are(home: Path) -> None:
    runs = home / "elsewhere"
    first, second, third, both = (open_run(str(runs / name)).settings for name in RUNS)
    assert first.options.weights == str(home / "own.safetensors")
    # latest is what was latest when training began, for the second seed too
    assert second.options.backbone == third.options.backbone == f"run:{runs / RUNS[0]}"
    assert both.options.members == tuple(str(runs / name) for name in RUNS[:2])
    assert all(each.data.data == str(home / "shapes.npz") for each in (first, second, third, both))


@pytest.mark.parametrize("name", [RUNS[0], RUNS[3]])
def test_runs_are_used_from_another_directory(
    name: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dlkit.session.save_pictures", lambda *_: None)
    assert main(["resume", str(home / "elsewhere" / name), "--quiet"]) == 0


@pytest.mark.parametrize(
    ("name", "format"), [(RUNS[1], "onnx"), (RUNS[1], "torch"), (RUNS[1], "safetensors"), (RUNS[3], "safetensors")]
)
def test_exported_files_do_not_tell_places(
    name: str, format: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "exported"
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(home / "elsewhere" / name), "--format", format, "--out", str(out), "--quiet"]) == 0
    content = out.read_bytes()
    assert b"shapes" in content  # names stay
    assert b"home-of-ann" not in content
    for place in (Path(torch.__file__).parents[1], Path(__file__).parents[1], tmp_path):
        assert str(place).encode() not in content


def test_names_are_no_places() -> None:
    card = registry().technique("features")
    settings = resolve(card, flags={"data": "digits", "backbone": "resnet18,timm.models:x", "weights": "a/b.pth,-"})
    fixed = anchored(settings)
    assert fixed.data.data == "digits"
    assert fixed.options.backbone == settings.options.backbone
    assert fixed.options.weights == (str(Path.cwd() / "a" / "b.pth"), "-")
    assert anchored(fixed) == fixed
    assert portable(fixed).options.weights == ("b.pth", "-")


def test_what_is_called_a_file_or_run_is_declared_a_place() -> None:
    for registered in registry().techniques.values():
        for option in all_options(registered.card):
            if option.metavar and option.metavar.split(",")[0] in ("FILE", "PATH", "RUN", "NAME|PATH"):
                assert option.place, f"{registered.card.name}: {option.flag}"
    assert not any(option.place for option in options_of(Options))
