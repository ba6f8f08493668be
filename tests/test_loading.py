"""Data that no technique can learn labels from is refused before a run begins, whichever technique it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dlkit.cli.main import main


@pytest.mark.parametrize("technique", ["classifier", "features --backbone test_resnet --random-init --image-size 32"])
@pytest.mark.parametrize(("labels", "says"), [
    (np.zeros(96, int), "nothing to tell apart"),
    (np.r_[np.full(80, -1), np.arange(16) % 3], "No training image is labelled"),
])  # fmt: skip
def test_labels_that_teach_nothing(
    technique: str, labels: np.ndarray, says: str, shapes_npz: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    np.savez(tmp_path / "data.npz", **{**np.load(shapes_npz), "labels": labels})
    words = ["--data", str(tmp_path / "data.npz"), "--runs", str(tmp_path / "runs"), "--quiet"]
    assert main([*technique.split(), *words]) == 3
    assert says in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
