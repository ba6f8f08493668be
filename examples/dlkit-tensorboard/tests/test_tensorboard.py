from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dlkit_tensorboard.board import Board

import dlkit
from dlkit.metrics import Metric, Metrics
from dlkit.testing import parametrize_with_checks

CHECKS = parametrize_with_checks("dlkit-tensorboard")


class Notes:
    """In place of TensorBoard's writer: notes what it is told."""

    def __init__(self, log_dir: str, purge_step: int) -> None:
        self.told: list[tuple[Any, ...]] = [("opened", log_dir, purge_step)]

    def __getattr__(self, name: str) -> Any:
        return lambda *words, **_: self.told.append((name, *words))


def test_each_figure_of_an_epoch_is_a_point() -> None:
    made: list[Notes] = []
    board = Board(Path("here"), lambda **words: made.append(Notes(**words)) or made[-1])
    row = {"phase": "train", "epoch": 3, "step": 96, "train_loss": 0.5, "val_loss": 0.6, "lr": 1e-3, "seconds": 2.0}
    board.epoch("train", row)
    assert made[0].told == [
        ("opened", "here", 3),  # what a process before it wrote of epoch 3 and later is not shown any more
        ("add_scalar", "train/train_loss", 0.5, 3),
        ("add_scalar", "train/val_loss", 0.6, 3),
        ("add_scalar", "train/lr", 1e-3, 3),
    ]


def test_figures_stand_beside_their_baselines(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("epochs = 3\n")
    row = Metric(name="psnr", label="PSNR", value=20.0, split="test", better="higher", baselines={"PCA": 18.0})
    run = SimpleNamespace(path=tmp_path, load_evaluation=lambda: Metrics((row,)))
    made: list[Notes] = []
    Board(tmp_path, lambda **words: made.append(Notes(**words)) or made[-1]).conclude(run)
    assert ("add_scalar", "evaluation/test/psnr", 20.0, 0) in made[0].told
    assert ("add_scalar", "evaluation/test/psnr/PCA", 18.0, 0) in made[0].told
    assert ("add_text", "options", "```\nepochs = 3\n\n```", 0) in made[0].told
    assert made[0].told[-1] == ("close",)


@CHECKS
def test_the_contract(check) -> None:
    if check.check.name == "hooks_work":
        pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    check()


def test_a_training_is_seen_in_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    words = {"layers": "16", "code": 4, "epochs": 2, "runs": tmp_path, "threads": 1}
    model = dlkit.train("autoencoder", data="digits", **words)
    events = EventAccumulator(str(model.run.path / "tensorboard")).Reload()
    losses = [row["train_loss"] for row in model.run.metrics()]
    assert [point.value for point in events.Scalars("train/train_loss")] == pytest.approx(losses)
    assert [point.step for point in events.Scalars("train/train_loss")] == [1, 2]
    assert events.Scalars("evaluation/test/psnr")[0].value == pytest.approx(model.metrics.get("psnr", "test").value)
    assert events.Tags()["images"]
