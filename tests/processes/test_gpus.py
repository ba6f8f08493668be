"""Two GPUs, a process each: gradients by NCCL. What is trained there is that of one: see also ``test_together``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from test_devices import Training

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
    assert_alike(one, two)


def assert_alike(one: Path, other: Path) -> None:
    expected, found = (load_file(run / "model.safetensors") for run in (one, other))
    for name, value in expected.items():
        assert float((found[name] - value).abs().max()) < 1e-4, name


def test_more_than_there_are_is_refused(shapes_npz: Path, tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        train(shapes_npz, tmp_path, torch.cuda.device_count() + 1)
    assert refused.value.returncode == 2


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_what_dies_on_a_gpu_is_started_again(shapes_npz: Path, tmp_path: Path, rank: int) -> None:
    """NCCL does not notice by itself that a process is gone: the others wait until the launcher ends them."""
    words = ["--device", "cuda", "--precision", "fp32", "--epochs", "40"]
    whole, harmed = (Training(shapes_npz, tmp_path / name, *words) for name in ("whole", "harmed"))
    harmed.wait_for_epochs(5)
    os.kill(harmed.worker(rank), signal.SIGKILL)
    for code, _, errors in (harmed.end(), whole.end()):
        assert code == 0, errors
    assert_alike(whole.run, harmed.run)


@pytest.mark.slow
def test_a_signal_saves_and_one_gpu_goes_on(shapes_npz: Path, tmp_path: Path) -> None:
    training = Training(shapes_npz, tmp_path, "--device", "cuda", "--epochs", "400")
    training.wait_for_epochs(5)
    training.process.send_signal(signal.SIGTERM)
    code, _, errors = training.end()
    assert code == 128 + signal.SIGTERM, errors
    resume = [sys.executable, "-m", "dlkit", "resume", str(training.run), "--devices", "1", "--quiet"]
    subprocess.run(resume, check=True, timeout=300)
    assert json.loads((training.run / "status.json").read_text())["status"] == "finished"
