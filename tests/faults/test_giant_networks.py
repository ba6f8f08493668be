"""A few lines of a config ask for any amount of memory: it is refused before it is taken."""

from __future__ import annotations

import re
import resource
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from dlkit.cli.main import main
from dlkit.errors import DataError
from dlkit.options import RuntimeOptions, TrainOptions
from dlkit.runtime import Runtime, memory, room
from dlkit.runtime.room import Room

MIB = 1 << 20


def refuse(wanted: int) -> Exception:
    return DataError(f"{wanted} bytes")


def peak() -> int:
    """Of this process so far, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.fixture
def hostile(trained: Path, tmp_path: Path) -> Path:
    """A run of a few kB whose config asks for layers of 3 GB."""
    run = tmp_path / "runs" / "autoencoder" / "shapes-001"
    shutil.copytree(trained, run)
    config = (run / "config.toml").read_text()
    (run / "config.toml").write_text(re.sub(r"\nlayers = .*", "\nlayers = [50000, 15000]", config))
    return run


@pytest.mark.parametrize(
    "words",
    [["evaluate"], ["encode", "--out", "codes.npz"], ["export", "--out", "net.onnx"], ["predict", "photo.png"],
     ["search", "photo.png"], ["train", "features", "--backbone", "run:RUN"]],
    ids=" ".join,
)  # fmt: skip
def test_a_run_whose_config_asks_for_more_than_its_model_has(
    hostile: Path, words: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.png").write_bytes(b"")
    command = [word.replace("RUN", str(hostile)) for word in words]
    if "train" not in command:
        command.insert(1, str(hostile))
    before = peak()
    assert main(command) == 3
    error = capsys.readouterr().err
    assert "Traceback" not in error
    for said in ("config.toml", "2.8 GiB", "model.safetensors"):
        assert said in error
    assert peak() < before + 1000 * MIB


def test_a_report_builds_no_network(hostile: Path) -> None:
    before = peak()
    assert main(["report", str(hostile)]) == 0
    assert peak() < before + 500 * MIB


def test_a_model_that_names_giants(hostile: Path, trained: Path) -> None:
    """A backbone within a model is described there, and first built of zeros."""
    from dlkit.backbones.run_source import untrained
    from dlkit.places import recipe_of
    from dlkit.run import Run

    run = Run(trained)
    recipe = {**recipe_of(run.settings, run.spec), "plain": {}, "tensors": {"w": ["float32", [10**5, 10**5]]}}
    with pytest.raises(DataError), Room(MIB, refuse):
        untrained(recipe)


@pytest.mark.parametrize("verb", ["train", "resume"])
def test_a_training_that_asks_for_more_than_there_is(
    hostile: Path, verb: str, shapes_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(room, "available_memory", lambda: 1 << 30)
    before, words = peak(), {
        "train": ["train", "autoencoder", "--layers", "50000,15000", "--data", str(shapes_npz)],
        "resume": ["resume", str(hostile), "--epochs", "3"],
    }  # fmt: skip
    assert main([*words[verb], *(["--runs", str(tmp_path / "new")] if verb == "train" else [])]) == 2
    error = capsys.readouterr().err
    assert "2.8 GiB" in error
    assert "1.0 GiB" in error
    assert not (tmp_path / "new").exists()
    assert peak() < before + 1000 * MIB


def test_gradients_and_moments_are_foreseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights fitted, and at the first step the kernel killed the training."""
    runtime = Runtime(RuntimeOptions(device="cpu", threads=1))
    network = nn.Linear(5000, 5000)  # 95 MiB
    monkeypatch.setattr(memory, "available_memory", lambda: 250 * MIB)
    runtime.optimizer(network.parameters(), TrainOptions(optimizer="sgd", momentum=0))
    with pytest.raises(memory.TrainingError, match=r"286\.\d MiB .* 250\.0 MiB"):
        runtime.optimizer(network.parameters(), TrainOptions(optimizer="adam"))
    network.weight.requires_grad_(False)
    runtime.optimizer(network.parameters(), TrainOptions(optimizer="adam"))


def test_to_estimate_takes_nothing() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 4096), nn.BatchNorm1d(4096), nn.Linear(4096, 1024))
    with Room(MIB, refuse):
        estimate = memory.estimate_memory([network], (1, 8, 8), 2, TrainOptions())
    assert estimate.weights > 16 * MIB


def test_room_counts_what_is_held() -> None:
    with Room(40 * MIB, refuse):
        for _ in range(20):
            torch.zeros(MIB)  # 4 MiB that are gone at once
        network = nn.Linear(1024, 4 * 1024, bias=False)  # 16 MiB
        nn.Linear(10**6, 10**6, device="meta")
        assert network.weight.t().flatten().numel() == 4 * MIB
        state = network.state_dict()
        with pytest.raises(DataError, match=str(16 * MIB + 32 * MIB)):
            torch.empty(8 * MIB)
        with pytest.raises(DataError):
            torch.eye(4000)  # no size is named: refused once it is there
        del network, state
        torch.empty(9 * MIB)
    torch.empty(11 * MIB)


def test_the_draws_are_the_same() -> None:
    def weights() -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(5, 4), nn.Conv2d(3, 2, 3)).state_dict()

    with Room(MIB, refuse):
        counted = weights()
    assert all(torch.equal(tensor, counted[name]) for name, tensor in weights().items())
