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
