"""Checkpoints that are whole files and no checkpoints."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from dlkit.cli.main import main
from dlkit.runtime.checkpoint import read_checkpoint, write_checkpoint


@pytest.mark.parametrize(
    "plain",
    [
        [], 3, {"tensor": "none"}, {"dict": [["format", 1]]}, {"dict": [["format", 1], ["before", []]]}, {"tuple": 5},
        {"a": 1, "b": 2}, {"dict": 3}, {"tensor": []},
        {"dict": [["format", 1], ["before", []], ["metrics", "x"], ["state", 3], ["best", None]]},
        {"dict": [["format", 1], ["before", []], ["metrics", 0], ["state", {"dict": []}], ["best", None]]},
    ],
    ids=str,
)  # fmt: skip
def test_a_checkpoint_that_is_none(
    trained: Path, tmp_path: Path, plain: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "autoencoder" / "shapes-001"
    shutil.copytree(trained, run)
    path = run / "checkpoints" / "train" / "last.safetensors"
    save_file({"w": torch.zeros(1)}, path, {"dlkit": json.dumps(plain)})
    assert main(["resume", str(run), "--quiet", "--epochs", "3"]) == 3
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert "last.safetensors" in error


@pytest.mark.parametrize(
    "change",
    [{"horizon": None}, {"batch": 10**6}, {"epoch": -1}, {"seconds": ""}, {"step": True}, {"sums": True},
     {"sums": {"loss": [1.0, 0.0]}}, {"sums": {"loss": [1.0]}}, {"best_value": "x"}, {"best_epoch": 1.5}, {"more": 1}],
    ids=str,
)  # fmt: skip
def test_a_position_that_there_is_not(
    trained: Path, tmp_path: Path, change: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "autoencoder" / "shapes-001"
    shutil.copytree(trained, run)
    path = run / "checkpoints" / "train" / "last.safetensors"
    tree = read_checkpoint(path)
    write_checkpoint(path, tree | {"position": tree["position"] | change})
    assert main(["resume", str(run), "--quiet", "--epochs", "3"]) == 3
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert "last.safetensors" in error


@pytest.mark.parametrize(
    ("key", "shape"), [("exp_avg", (1,)), ("exp_avg", ()), ("exp_avg_sq", (0,)), ("exp_avg_sq", (3, 5)), ("step", (2,))]
)
def test_moments_of_another_size(
    trained: Path, tmp_path: Path, key: str, shape: tuple[int, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Fused Adam wrote beyond their end: a segmentation fault, or whatever else lay there changed."""
    run = tmp_path / "autoencoder" / "shapes-001"
    shutil.copytree(trained, run)
    path = run / "checkpoints" / "train" / "last.safetensors"
    tree = read_checkpoint(path)
    for moments in tree["state"]["optimizer"]["state"].values():
        moments[key] = torch.zeros(shape)
    write_checkpoint(path, tree)
    assert main(["resume", str(run), "--quiet", "--epochs", "3"]) == 3
    assert "last.safetensors" in capsys.readouterr().err
