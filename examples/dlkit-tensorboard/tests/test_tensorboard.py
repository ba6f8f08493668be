from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dlkit_tensorboard import board as board_module
from dlkit_tensorboard.board import Board

import dlkit
from dlkit import session
from dlkit.display import Display
from dlkit.metrics import Metric, Metrics
from dlkit.testing import parametrize_with_checks

CHECKS = parametrize_with_checks("dlkit-tensorboard")


class Notes:
    """In place of TensorBoard's writer: notes what it is told."""

    def __init__(self, log_dir: str, purge_step: int) -> None:
        self.told: list[tuple[Any, ...]] = [("opened", log_dir, purge_step)]

    def __getattr__(self, name: str) -> Any:
        return lambda *words, **_: self.told.append((name, *words))


class Told:
    """A run with so many epochs on record."""

    def __init__(self, path: Path, epochs: int, figures: Metrics | None = None) -> None:
        self.path, self._epochs, self._figures = path, epochs, figures
        (path / "config.toml").write_text("epochs = 3\n")

    def metrics(self) -> list[dict[str, Any]]:
        return [{}] * self._epochs

    def load_evaluation(self) -> Metrics | None:
        return self._figures


def board(folder: Path) -> tuple[Board, list[Notes]]:
    made: list[Notes] = []
    return Board(folder, lambda **words: made.append(Notes(**words)) or made[-1]), made


def test_each_figure_of_an_epoch_is_a_point(tmp_path: Path) -> None:
    ours, made = board(Path("here"))
    row = {"phase": "train", "epoch": 3, "step": 96, "train_loss": 0.5, "val_loss": 0.6, "lr": 1e-3, "seconds": 2.0}
    ours.epoch(Told(tmp_path, epochs=7), "train", row)  # of the second phase, say
    assert made[0].told == [
        ("opened", "here", 7),  # what a process before it wrote of epoch 7 and later is not shown any more
        ("add_scalar", "train/train_loss", 0.5, 7),
        ("add_scalar", "train/val_loss", 0.6, 7),
        ("add_scalar", "train/lr", 1e-3, 7),
    ]


def test_figures_stand_beside_their_baselines(tmp_path: Path) -> None:
    row = Metric(name="psnr", label="PSNR", value=20.0, split="test", better="higher", baselines={"PCA": 18.0})
    ours, made = board(tmp_path)
    ours.conclude(Told(tmp_path, epochs=3, figures=Metrics((row,))))
    assert ("add_scalar", "evaluation/test/psnr", 20.0, 4) in made[0].told
    assert ("add_scalar", "evaluation/test/psnr/PCA", 18.0, 4) in made[0].told
    assert ("add_text", "options", "```\nepochs = 3\n\n```", 4) in made[0].told
    assert made[0].told[-1] == ("close",)


@CHECKS
def test_the_contract(check) -> None:
    if check.check.name == "hooks_work":
        pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    check()


def test_a_training_is_seen_in_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    words = {"layers": "16", "code": 4, "greedy": True, "greedy_epochs": 2, "epochs": 3, "runs": tmp_path, "threads": 1}
    model = dlkit.train("autoencoder", data="digits", **words)
    board_module._boards.clear()  # as in another process, which finds nothing left to train
    session.resume(model.run, Display(quiet=True))
    events = EventAccumulator(str(model.run.path / "tensorboard")).Reload()
    for phase, steps in (("layer-1", [1, 2]), ("layer-2", [3, 4]), ("train", [5, 6, 7])):
        losses = [row["train_loss"] for row in model.run.metrics() if row["phase"] == phase]
        points = events.Scalars(f"{phase}/train_loss")
        assert [point.value for point in points] == pytest.approx(losses)
        assert [point.step for point in points] == steps
    (figure,) = events.Scalars("evaluation/test/psnr")
    assert figure.value == pytest.approx(model.metrics.get("psnr", "test").value)
    assert events.Tags()["images"]
