"""Two GPUs, a process each: gradients by NCCL."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

pytestmark = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")


def train(data: Path, root: Path, devices: int) -> Path:
    """A run on so many GPUs."""
    words = ["--layers", "16", "--code", "6", "--batch-size", "15", "--denoise", "--epochs", "3", "--precision", "fp32"]
    command = ["-m", "dlkit", "train", "autoencoder", "--data", str(data), "--runs", str(root), "--device", "cuda"]
    subprocess.run([sys.executable, *command, *words, "--devices", str(devices)], check=True, timeout=300)
    return root / "autoencoder" / f"{data.stem}-001"


def test_the_model_is_that_of_one_gpu(shapes_npz: Path, tmp_path: Path) -> None:
    one, two = (train(shapes_npz, tmp_path / str(devices), devices) for devices in (1, 2))
    assert json.loads((two / "environment.json").read_text())[0]["processes"] == 2
    expected, found = (load_file(run / "model.safetensors") for run in (one, two))
    for name, value in expected.items():
        assert float((found[name] - value).abs().max()) < 1e-4, name


def test_more_than_there_are_is_refused(shapes_npz: Path, tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        train(shapes_npz, tmp_path, torch.cuda.device_count() + 1)
    assert refused.value.returncode == 2
