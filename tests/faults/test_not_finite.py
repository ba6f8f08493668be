"""NaN and infinity: training stops at its last good checkpoint, and says where it was and with which images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dlkit_builtin.autoencoder.technique import Autoencoder
from PIL import Image

from dlkit import session
from dlkit.cli.main import main
from dlkit.run import Run
from dlkit.runtime import Runtime
from dlkit.runtime.checkpoint import read_checkpoint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(40):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8), dtype=np.uint8)
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number:02d}.png")
    return tmp_path / "images"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_the_batch_and_its_files_are_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: float
) -> None:
    """One image makes the loss infinite, say; the batch with it is the one that is named."""
    monkeypatch.setattr(session, "conclude", lambda *_: None)
    culprit = torch.from_numpy(np.asarray(Image.open(folder / "17.png")).copy())[None] / 255
    update, armed = Runtime.update, [False]

    def poisoned(self: Runtime, optimizer: Any, loss_fn: Any, *tensors: Any) -> Any:
        def spoilt(*parts: Any) -> Any:
            values = loss_fn(*parts)
            hit = any(torch.equal(image, culprit) for image in parts[0])
            return values * value if hit and armed[0] else values

        return update(self, optimizer, spoilt, *tensors)

    monkeypatch.setattr(Runtime, "update", poisoned)
    words = ["train", "autoencoder", "--data", str(folder), "--layers", "6", "--code", "3", "--batch-size", "7",
             "--runs", str(tmp_path / "runs"), "--checkpoint-every", "0", "--val-fraction", "0",
             "--test-fraction", "0", "--threads", "1", "--quiet", "--schedule", "constant"]  # fmt: skip
    assert main([*words, "--epochs", "2"]) == 0
    armed[0] = True
    run = Run(tmp_path / "runs" / "autoencoder" / "images-001")
    capsys.readouterr()
    assert main(["resume", str(run.path), "--epochs", "3", "--quiet"]) == 1
    error = capsys.readouterr().err
    assert "in phase 'train', epoch 3, step " in error
    assert f": loss is {value}." in error
    assert " of 6:" in error
    named = (run.path / "log.txt").read_text().partition("Images of the batch: ")[2]
    assert "17.png" in named
    assert named.count(".png") in (5, 7)
    assert "resume" in error
    assert run.status["status"] == "failed"
    saved = read_checkpoint(run.path / "checkpoints" / "train" / "last.safetensors")
    assert saved["position"]["epoch"] == 2
    assert all(tensor.isfinite().all() for tensor in saved["state"]["network"].values())
    armed[0] = False
    assert main(["resume", str(run.path), "--epochs", "3", "--quiet"]) == 0
    assert isinstance(run.load_technique(), Autoencoder)
