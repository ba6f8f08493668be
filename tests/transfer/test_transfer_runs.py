"""Runs through the command line: exports, what is drawn, and going on after a stop."""

from __future__ import annotations

import csv
import json
import signal
from pathlib import Path

import numpy as np
import pytest
from dlkit_builtin.transfer.taken import takes
from PIL import Image
from safetensors.numpy import load_file

from dlkit import session
from dlkit.cli.main import main


def words(runs: Path, data: Path, strategy: str, *more: str) -> list[str]:
    short = {"epochs": ["--epochs", "2"], "head_epochs": ["--head-epochs", "2"]}
    epochs = [word for option, flags in short.items() if takes(strategy, option) for word in flags]
    return ["transfer", "--backbone", "test_resnet", "--random-init", "--image-size", "32", "--threads", "1",
            "--no-cache", "--quiet", *epochs, "--strategy", strategy, "--data", str(data),
            "--runs", str(runs), *more]  # fmt: skip


@pytest.mark.parametrize("strategy", ["linear-probe", "stage-probe", "mlp-head"])
def test_exports_equal_the_model(
    strategy: str,
    tmp_path: Path,
    shapes_npz: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The export compares itself with the model; predictions are compared here."""
    if strategy != "stage-probe":
        monkeypatch.setattr(session, "save_pictures", lambda *_: None)
    assert main(words(tmp_path, shapes_npz, strategy)) == 0
    run = tmp_path / "transfer" / "shapes-001"
    if strategy == "stage-probe":
        drawn = {entry["name"] for entry in json.loads((run / "plots" / "index.json").read_text())}
        assert {"samples", "stages", "confusion", "saliency", "feature-space"} <= drawn
    assert main(["export", str(run), "--out", str(tmp_path / "model.onnx"), "--quiet"]) == 0
    Image.fromarray(np.load(shapes_npz)["images"][0]).save(tmp_path / "a.png")
    capsys.readouterr()
    rows = []
    for source in (run, tmp_path / "model.onnx"):
        assert main(["predict", str(source), str(tmp_path / "a.png"), "--format", "csv"]) == 0
        rows += list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert rows[0]["class"] == rows[1]["class"]
    assert float(rows[0]["probability"]) == pytest.approx(float(rows[1]["probability"]), abs=1e-4)


def test_a_stopped_fine_tuning_goes_on_to_the_same_bits(
    tmp_path: Path, shapes_npz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "save_pictures", lambda *_: None)
    more = ("--mixup", "0.2", "--l2-sp", "0.1")
    assert main(words(tmp_path / "whole", shapes_npz, "lp-ft", *more)) == 0
    with monkeypatch.context() as patch:
        patch.setattr("dlkit.run.run.Run.epoch_ended", lambda *_, **__: signal.raise_signal(signal.SIGINT))
        assert main(words(tmp_path / "stopped", shapes_npz, "lp-ft", *more)) == 130
    stopped = tmp_path / "stopped" / "transfer" / "shapes-001"
    assert not (stopped / "model.safetensors").exists()
    assert main(["resume", str(stopped), "--quiet"]) == 0
    ours, theirs = (load_file(tmp_path / root / "transfer" / "shapes-001" / "model.safetensors")
                    for root in ("whole", "stopped"))  # fmt: skip
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_a_dry_run_counts_what_trains(tmp_path: Path, shapes_npz: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import timm

    assert main([*words(tmp_path, shapes_npz, "gradual", "--epochs", "6"), "--dry-run", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["phases"]
    network = timm.create_model(
        "test_resnet", pretrained=False, num_classes=0
    )  # grey images are shown to it three times
    head = 3 * (network.num_features + 1)
    sizes = {name: sum(p.numel() for p in module.parameters()) for name, module in network.named_children()}
    expected = [head, *(head + sum(sizes[f"layer{n}"] for n in range(first, 5)) for first in (4, 3, 2, 1))]
    expected.append(head + sum(sizes.values()))  # act1, with the convolutions before it
    assert [phase["trainable"] for phase in shown] == expected
    assert [phase["epochs"] for phase in shown] == [1] * 6
    assert not (tmp_path / "transfer").exists()
