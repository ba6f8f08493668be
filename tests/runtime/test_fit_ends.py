"""Every way in which a phase can end or be refused."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from runtime_fakes import FakeRun, FakeSplit
from safetensors.torch import load_file
from torch import Tensor, nn
from training import same, train

from dlkit.errors import DataError, Interrupted, PluginError, TrainingError, UsageError
from dlkit.options import RuntimeOptions, TrainOptions
from dlkit.options.values import Duration, Schedule
from dlkit.runtime import Batch, FitResult, Runtime
from dlkit.runtime.checkpoint import read_checkpoint
from dlkit.runtime.signals import interruptible, stop, unmasked


class Screen:
    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.notes: list[str] = []
        self.done = 0

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    @contextmanager
    def progress(self, title: str, total: int, unit: str, done: int) -> Any:
        self.total, self.done = total, done
        yield self

    def advance(self, n: int, **figures: float) -> None:
        self.done += n

    def note(self, text: str) -> None:
        self.notes.append(text)


class Line:
    """y = w x with a hand on everything: the weight counts the steps, so that every state can be told."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.display = Screen()
        self.runtime = Runtime(RuntimeOptions(device="cpu", threads=1), self.display)  # type: ignore[arg-type]
        self.net = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.net.weight)
        self.options = TrainOptions(**{"epochs": 5, "batch_size": 10, **options})
        self.optimizer = self.runtime.optimizer(self.net.parameters(), self.options)
        self.run = FakeRun(path)
        self.loss: Callable[[int], float] = lambda _: 1.0
        self.validate: Callable[[], Mapping[str, float]] | None = None
        self.rates: list[float] = []
        self.sizes: list[int] = []

    def step(self, batch: Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            self.net.weight += 1
        self.rates.append(self.optimizer.param_groups[0]["lr"])
        self.sizes.append(len(batch))
        return {"loss": torch.tensor(self.loss(int(self.net.weight)))}

    def fit(self, phase: str = "main", count: int = 40, **arguments: Any) -> FitResult:
        return self.runtime.fit(
            self.run, phase=phase, data=FakeSplit(torch.rand(count, 1, 1, 1)), options=self.options,
            state={"net": self.net, "opt": self.optimizer}, step=self.step, validate=self.validate, **arguments,
        )  # fmt: skip

    @property
    def weight(self) -> float:
        return self.net.weight.item()


def test_an_interrupt_that_a_library_disguised_is_itself_again() -> None:
    """PyTorch turned one that hit load_state_dict into a RuntimeError: exit code 1, "this is a bug"."""

    def library() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except Interrupted as error:
            raise RuntimeError("error in a callback") from error

    with pytest.raises(Interrupted) as caught, interruptible(), unmasked():
        library()
    assert caught.value.exit_code == 143
    with pytest.raises(RuntimeError, match="its own"), interruptible(), unmasked():
        raise RuntimeError("its own")


def test_best_is_restored_and_kept_for_people(tmp_path: Path) -> None:
    line = Line(tmp_path)
    values = iter([3.0, 1.0, 2.0, 1.0, 5.0])
    line.validate = lambda: {"loss": next(values), "other": 0.5}
    result = line.fit()
    assert (line.weight, result.best_epoch, result.best_value, result.epochs) == (8, 2, 1.0, 5)
    assert load_file(tmp_path / "checkpoints/main/best.safetensors")["net.weight"].item() == 8
    assert read_checkpoint(tmp_path / "checkpoints/main/last.safetensors")["state"]["net"]["weight"].item() == 20
    assert [row["val_loss"] for row in line.run.rows()] == [3, 1, 2, 1, 5]
    assert [phase for phase, _ in line.run.ended] == ["main"] * 5
    assert (line.display.done, line.display.total, len(line.display.notes)) == (200, 200, 5)


def test_patience(tmp_path: Path) -> None:
    line = Line(tmp_path, epochs=50, patience=2)
    values = iter([3.0, 2.0, 2.0, 1.5, 1.6, 1.7, 0.0])
    line.validate = lambda: {"loss": next(values)}
    result = line.fit()
    assert (result.reason, result.epochs, result.best_epoch, line.weight) == ("patience", 6, 4, 16)


def test_patience_without_validation_is_told(tmp_path: Path) -> None:
    line = Line(tmp_path, patience=2)
    assert line.fit().reason == "epochs"
    assert "patience" in line.display.warnings[0]


def test_more_epochs_go_on_from_the_last_state(tmp_path: Path) -> None:
    def run(epochs: int, where: str) -> Line:
        line = Line(tmp_path / where, epochs=epochs)
        line.validate = lambda: {"loss": abs(line.weight - 8)}  # best after epoch 2
        line.fit()
        return line

    run(3, "extended")
    extended, whole = run(6, "extended"), run(6, "whole")
    assert extended.run.rows() == whole.run.rows()
    assert extended.weight == whole.weight == 8
    assert len(extended.rates) == 3 * 4


def test_a_horizon_is_kept_unless_restated(tmp_path: Path) -> None:
    cosine: dict[str, Any] = {"schedule": Schedule("cosine"), "lr": 1.0}
    first = Line(tmp_path, epochs=2, **cosine)
    first.fit()
    expected = [(1 + math.cos(math.pi * step / 8)) / 2 for step in range(8)]
    assert first.rates == pytest.approx(expected)
    more = Line(tmp_path, epochs=3, **cosine)
    more.fit()
    assert more.rates == pytest.approx([0.0] * 4)
    assert "restate it: --schedule" in more.display.warnings[0]
    restated = Line(tmp_path, epochs=4, schedule_epochs=4, **cosine)
    restated.fit()
    assert restated.rates == pytest.approx([(1 + math.cos(math.pi * step / 16)) / 2 for step in range(12, 16)])


def test_warmup(tmp_path: Path) -> None:
    line = Line(tmp_path, warmup=1.5, lr=0.6)
    line.fit()
    assert line.rates[:7] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.6])


def test_max_time_keeps_what_was_learned_and_can_go_on(tmp_path: Path) -> None:
    line = Line(tmp_path, max_time=Duration(1e-6))
    line.validate = lambda: {"loss": 0.0}
    result = line.fit()
    assert (result.reason, result.epochs, result.steps) == ("max_time", 0, 1)
    rows = line.run.rows()
    assert [(row["epoch"], row["step"]) for row in rows] == [(1, 1)]
    second = line.fit("second")
    assert (second.reason, second.steps) == ("max_time", 0)

    again = Line(tmp_path, max_time=Duration(1e-6))
    again.validate = lambda: {"loss": 0.0}
    assert again.fit().steps == 1
    assert again.run.rows() == rows

    longer = Line(tmp_path, max_time=Duration(1e6))
    assert longer.fit().steps == 20
    assert [(row["epoch"], row["step"]) for row in longer.run.rows()] == [(n, 4 * n) for n in range(1, 6)]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("at", [1, 7, 70, 150])
def test_a_loss_that_is_not_finite(tmp_path: Path, bad: float, at: int) -> None:
    line = Line(tmp_path, epochs=50, checkpoint_every=Duration(1e-9))
    line.loss = lambda step: bad if step == at else 1.0
    where = f"phase 'main', epoch {(at - 1) // 4 + 1}, step {at}, batch {(at - 1) % 4 + 1} of 4"
    with pytest.raises(TrainingError, match=f"{where}: loss is"):
        line.fit()
    saved = read_checkpoint(tmp_path / "checkpoints/main/last.safetensors")
    assert saved.get("position", {"step": 0})["step"] < at


def test_spoilt_weights_are_never_saved(tmp_path: Path) -> None:
    line = Line(tmp_path, checkpoint_every=Duration(0))

    def spoil(step: int) -> float:
        if step == 12:
            line.net.weight.data.fill_(math.nan)
        return 1.0

    line.loss = spoil
    with pytest.raises(TrainingError, match=r"net\.weight are not finite"):
        line.fit()
    assert read_checkpoint(tmp_path / "checkpoints/main/last.safetensors")["state"]["net"]["weight"].item() == 8


def test_a_validation_that_is_not_a_number(tmp_path: Path) -> None:
    line = Line(tmp_path)
    line.validate = lambda: {"loss": math.nan}
    with pytest.raises(TrainingError, match="val_loss is nan"):
        line.fit()


def test_validation_must_give_what_is_monitored(tmp_path: Path) -> None:
    line = Line(tmp_path)
    line.validate = lambda: {"error": 1.0}
    with pytest.raises(ValueError, match="monitors 'loss'"):
        line.fit()


def test_modes_are_as_before_after_validation(tmp_path: Path) -> None:
    line = Line(tmp_path)

    def validate() -> dict[str, float]:
        line.net.eval()
        return {"loss": 1.0}

    line.validate = validate
    line.fit()
    assert line.net.training


def test_running_out_of_memory_in_a_step(tmp_path: Path) -> None:
    line = Line(tmp_path)

    def fail(_: int) -> float:
        raise torch.OutOfMemoryError("CUDA out of memory")

    line.loss = fail
    with pytest.raises(TrainingError, match="out of memory") as caught:
        line.fit()
    assert "--batch-size" in caught.value.hint


def test_refusals(tmp_path: Path) -> None:
    line = Line(tmp_path, accumulate=4)
    with pytest.raises(UsageError, match="--accumulate 4"):
        line.fit(independent=False)
    with pytest.raises(DataError, match="no images"):
        line.fit(count=0)
    line.fit()
    with pytest.raises(ValueError, match="'main' already"):
        line.fit()


def test_no_batch_of_one_where_samples_depend_on_each_other(tmp_path: Path) -> None:
    line = Line(tmp_path, epochs=1)
    line.fit("dependent", count=31, independent=False)
    assert line.sizes == [10, 10, 11]
    line.sizes.clear()
    line.fit("independent", count=31)
    assert line.sizes == [10, 10, 10, 1]


def test_figures_that_some_steps_lack(tmp_path: Path) -> None:
    line = Line(tmp_path, epochs=1)
    plain_step, calls = line.step, []

    def step(batch: Batch) -> dict[str, Any]:
        calls.append(1)
        figures: dict[str, Any] = dict(plain_step(batch))
        return figures | ({"sometimes": float(len(calls))} if len(calls) % 2 == 0 else {})

    line.step = step  # type: ignore[assignment]
    line.fit()
    assert line.run.rows()[0]["train_sometimes"] == 3.0


def test_a_figure_must_be_a_scalar(tmp_path: Path) -> None:
    line = Line(tmp_path)
    line.step = lambda _: {"loss": torch.zeros(3)}  # type: ignore[assignment,method-assign]
    with pytest.raises(PluginError, match=r"'loss' has the shape \(3,\)"):
        line.fit()


def test_a_checkpoint_of_another_network(tmp_path: Path) -> None:
    Line(tmp_path).fit()
    other = Line(tmp_path)
    other.net = nn.Linear(2, 2)
    with pytest.raises(DataError, match="does not fit"):
        other.fit()


def test_other_threads_are_told(tmp_path: Path) -> None:
    Line(tmp_path).fit()
    other = Line(tmp_path)
    other.runtime.threads = 7
    other.fit()
    assert "1 threads before, now with 7" in other.display.warnings[0]


def test_a_phase_after_one_that_was_trained_further_starts_anew(tmp_path: Path) -> None:
    train(tmp_path / "a", epochs=2)
    _, results, run = train(tmp_path / "a", epochs=3, options={"schedule_epochs": 3}, display=(screen := Screen()))
    assert [result.resumed for result in results] == [True, False]
    assert "'layer-1' starts anew" in screen.warnings[0]
    assert [(row["phase"], row["epoch"]) for row in run.rows()] == [
        (f"layer-{p}", e) for p in (0, 1) for e in (1, 2, 3)
    ]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("where", ["step", "validate"])
def test_a_signal_saves_and_stops(tmp_path: Path, signum: signal.Signals, where: str) -> None:
    expected, _, _ = train(tmp_path / "whole", phases=1)

    def send(step: int) -> None:
        if step == 6:
            os.kill(os.getpid(), signum)

    line = Line(tmp_path / "line")
    if where == "validate":
        line.validate = lambda: os.kill(os.getpid(), signum) or {"loss": 1.0}  # type: ignore[func-returns-value]
    before = signal.getsignal(signum)
    go = (
        line.fit if where == "validate" else partial(train, tmp_path / "stopped", every=1e9, before_step=send, phases=1)
    )
    with pytest.raises(Interrupted) as caught, interruptible():
        go()
    assert caught.value.exit_code == 128 + signum
    assert "dlkit resume" in caught.value.hint
    assert signal.getsignal(signum) is before
    assert stop.signum is None
    if where == "step":
        saved = read_checkpoint(tmp_path / "stopped/checkpoints/layer-0/last.safetensors")
        assert saved["position"]["step"] == 7
        resumed, _, _ = train(tmp_path / "stopped", phases=1)
        assert same(resumed, expected)
    else:
        saved = read_checkpoint(tmp_path / "line/checkpoints/main/last.safetensors")
        assert (saved["position"]["epoch"], saved["position"]["batch"]) == (0, 4)
        again = Line(tmp_path / "line")
        again.validate = lambda: {"loss": -again.weight}
        assert again.fit().steps == 20
        assert again.weight == 20


def test_a_signal_outside_training_stops_at_once() -> None:
    with pytest.raises(Interrupted), interruptible():
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    line = Line(tmp_path)

    def twice(_: int) -> float:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("went on")

    line.loss = twice
    with pytest.raises(Interrupted), interruptible():
        line.fit()
