"""What does not fit is told in a sentence, before there is a run where that is possible."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_transfer import small_data

from dlkit import session
from dlkit.cli.main import main

WORDS = ["transfer", "--backbone", "test_resnet", "--random-init", "--image-size", "32", "--threads", "1", "--quiet",
         "--no-cache"]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "says", "helps"),
    [
        ("--strategy nonsense", "expected one of auto, linear-probe", ""),
        ("--strategy linear-probe --stage layr2", "test_resnet has no such stage", "layer2"),
        (
            "--strategy finetune --stage layer2",
            "finetune itself says which stages it takes",
            "linear-probe or mlp-head",
        ),
        ("--strategy auto --stage layer2", "auto itself says which stages it takes", "linear-probe or mlp-head"),
        ("--strategy linear-probe --unfreeze 2", "linear-probe does not take it", "finetune-top"),
        ("--strategy auto --unfreeze 2", "auto does not take it", "finetune-top"),
        ("--strategy finetune --unfreeze 2", "finetune itself says which stages train", "finetune-top"),
        ("--strategy finetune-top --unfreeze 0", "a number of stages from 1 on", ""),
        ("--strategy finetune-top --unfreeze 9", "has 5 stages with weights", "layer4"),
        ("--strategy finetune-top --unfreeze nowhere", "has no such stage", "layer4"),
        ("--strategy gradual --epochs 2", "--epochs 2 is too few", "--epochs 6"),
        ("--strategy linear-probe --mixup 0.2", "--mixup: --strategy linear-probe does not take it", "mlp-head"),
        ("--strategy stage-probe --label-smoothing 0.1", "does not take it", "mlp-head"),
        (
            "--strategy linear-probe --lr 0.5 --hidden 64",
            "--lr, --hidden: --strategy linear-probe does not",
            "mlp-head",
        ),
        ("--strategy mlp-head --epochs 3", "--epochs: --strategy mlp-head does not take it", "finetune-top"),
        ("--strategy finetune --budget 1m", "--budget: --strategy finetune does not take it", "auto"),
        ("--strategy finetune-top --unfreeze-every 2", "does not take it", "gradual"),
        ("--strategy finetune --l2-sp-head 0.1", "--l2-sp, which is off", "--l2-sp 0.1"),
        ("--strategy scratch --l2-sp 0.1", "--strategy scratch does not take it", "finetune-top"),
        ("--strategy scratch --layer-decay 0.8", "--strategy scratch does not take it", "finetune-top"),
        ("--strategy linear-probe --normalize channel", "normalises images as its network's weights", "Leave it out"),
    ],
)
def test_options_that_do_not_fit(
    words: str, says: str, helps: str, tmp_path: Path, shapes_npz: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*WORDS, *words.split(), "--data", str(shapes_npz), "--runs", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "Traceback" not in told
    assert says in told
    assert helps in told
    assert not list(tmp_path.iterdir())  # no run was begun


NOTHING = {
    "no labels": ({"labels": None}, "transfer needs labels"),
    "none in train": ({"labels": np.r_[np.full(60, -1), np.arange(24) % 3]}, "No training image is labelled"),
    "one class": ({"labels": np.zeros(84, dtype=int)}, "nothing to tell apart"),
    "one class in train": ({"labels": np.r_[np.zeros(60, dtype=int), np.arange(24) % 3]}, "nothing to tell apart"),
    "one image": ({"split": np.array(["train"] + ["test"] * 83)}, "nothing to tell apart"),
}


@pytest.mark.parametrize("case", list(NOTHING))
@pytest.mark.parametrize("how", ["--strategy=linear-probe", "--advise"])
def test_data_that_teach_nothing(case: str, how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrays, says = NOTHING[case]
    changed_data(tmp_path / "data.npz", arrays)
    assert main([*WORDS, how, "--data", str(tmp_path / "data.npz"), "--runs", str(tmp_path / "runs")]) == 3
    told = capsys.readouterr().err
    assert "Traceback" not in told
    assert says in told
    assert not (tmp_path / "runs").exists()  # no run was begun


def changed_data(path: Path, arrays: dict[str, Any]) -> None:
    """The small data with other arrays; None leaves one out."""
    small_data(path)
    whole = {**np.load(path), **arrays}
    np.savez(path, **{name: array for name, array in whole.items() if array is not None})


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("strategy", ["stage-probe", "finetune-top", "auto"])
def test_one_image_of_each_class_is_enough(
    strategy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "save_pictures", lambda *_: None)
    labels = np.arange(84) % 3
    changed_data(tmp_path / "data.npz", {"labels": labels, "split": np.array(["train"] * 3 + ["test"] * 81)})
    short = {"finetune-top": ["--epochs", "2"], "auto": ["--epochs", "2", "--head-epochs", "1", "--budget", "1s"]}
    words = [
        *short.get(strategy, []),
        "--strategy",
        strategy,
        "--data",
        str(tmp_path / "data.npz"),
        "--runs",
        str(tmp_path / "runs"),
    ]
    assert main([*WORDS, *words]) == 0, capsys.readouterr().err
