"""From settings to a finished run, and on from there: resume, changes, failures, dry run."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import tomllib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dlkit import session
from dlkit.cli.main import main
from dlkit.discovery import registry
from dlkit.display import Display
from dlkit.dry_run import dry_run
from dlkit.errors import DataError, Interrupted, TrainingError, UsageError
from dlkit.loading import load_training_data
from dlkit.run import Run, open_run
from dlkit.settings import Settings, resolve

QUIET = Display(quiet=True)
TIMES = ("seconds", "images_per_second")


@pytest.fixture
def settings(shapes_npz: Path, tmp_path: Path) -> Any:
    """Makes the settings of a small training."""

    def make(**given: object) -> Settings:
        flags: dict[str, object] = {
            "data": str(shapes_npz), "runs": str(tmp_path / "runs"), "layers": "16", "code": 6, "batch_size": 16,
            "threads": 1, "epochs": 2, "denoise": True, "checkpoint_every": "0",
        }  # fmt: skip
        return resolve(registry().technique("autoencoder"), flags=flags | given)

    return make


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """No evaluation, pictures and report: seconds that a test of training has no use for."""
    monkeypatch.setattr(session, "conclude", lambda run, *arguments: None)


def rows(run: Run) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key not in TIMES} for row in run.metrics()]


def weights(run: Run) -> bytes:
    return (run.path / "model.safetensors").read_bytes()


def resumed(run: Run, **changes: object) -> Run:
    return session.resume(open_run(str(run.path)), QUIET, changes=changes)


# --- a whole training -------------------------------------------------------------------------------------------


def test_a_training_leaves_all_that_is_needed(trained: Path) -> None:
    files = {str(path.relative_to(trained)) for path in trained.rglob("*") if path.is_file()}
    assert files >= {
        "config.toml", "data.json", "environment.json", "status.json", "metrics.jsonl", "model.safetensors",
        "model.json", "evaluation.json", "report.html", "log.txt", "checkpoints/train/last.safetensors",
        "checkpoints/train/best.safetensors", "plots/index.json", "plots/reconstructions.png", "plots/filters.png",
        "plots/code-space.png", "plots/worst.png",
    }  # fmt: skip
    assert not [name for name in files if name.endswith(".tmp")]
    run = open_run(str(trained))
    assert run.status["status"] == "finished"
    assert [(row["phase"], row["epoch"], row["step"], row["lr"]) for row in run.metrics()] == [
        ("train", 1, 4, 0.001), ("train", 2, 8, 0.001),
    ]  # fmt: skip
    assert all({"train_loss", "val_loss", "seconds"} <= set(row) for row in run.metrics())
    [environment] = run.environments
    assert environment["threads"] == 1
    assert environment["plugin"]["distribution"] == "dlkit"
    assert run.spec.counts == {"train": 64, "val": 16, "test": 16}
    assert [line.split("  ")[1] for line in (trained / "log.txt").read_text().splitlines()] == [
        "training", "trained", "finished",
    ]  # fmt: skip


def test_the_config_of_a_run_trains_the_same_again(trained: Path, tmp_path: Path, brief: None) -> None:
    run = open_run(str(trained))
    again = resolve(run.settings.card, config=trained / "config.toml", flags={"runs": str(tmp_path)})
    other = session.train(again, QUIET)
    assert weights(other) == weights(run)
    assert rows(other) == rows(run)
    seeded = session.train(replace(again, runtime=replace(again.runtime, seed=1)), QUIET)
    assert weights(seeded) != weights(run)


# --- resume -----------------------------------------------------------------------------------------------------


def test_resuming_a_finished_run_changes_nothing_that_was_learned(trained: Path, tmp_path: Path) -> None:
    path = tmp_path / "runs" / "autoencoder" / "copy-001"
    shutil.copytree(trained, path)
    run = resumed(Run(path))
    for name in ("model.safetensors", "metrics.jsonl", "evaluation.json", "config.toml", "data.json"):
        assert (path / name).read_bytes() == (trained / name).read_bytes(), name
    assert run.status["status"] == "finished"
    assert len(run.environments) == 2


def test_more_epochs_equal_a_longer_training(settings: Any, brief: None) -> None:
    long, short = session.train(settings(epochs=5), QUIET), session.train(settings(epochs=2), QUIET)
    assert weights(short) != weights(long)
    assert rows(resumed(short, epochs=3)) == rows(long)[:3]
    assert rows(resumed(short, epochs="5")) == rows(long)
    assert weights(short) == weights(long)
    assert open_run(str(short.path)).settings.options.epochs == 5


def cosine(epoch: int, horizon: int) -> float:
    """The learning rate of the last of four steps of an epoch (from 1)."""
    return 0.001 * (1 + math.cos(math.pi * min(1.0, (epoch - 0.25) / horizon))) / 2


def rates(run: Run) -> list[float]:
    return [row["lr"] for row in run.metrics()]


def test_a_horizon_is_kept_unless_the_schedule_is_restated(settings: Any, brief: None, capfd: Any) -> None:
    run = session.train(settings(schedule="cosine"), QUIET)
    expected = [cosine(1, 2), cosine(2, 2)]
    assert rates(run) == pytest.approx(expected)
    resumed(run, epochs=3)
    expected += [0.0]
    assert rates(run) == pytest.approx(expected)
    assert "--schedule" in capfd.readouterr().err
    resumed(run, epochs=6, schedule="cosine")
    expected += [cosine(epoch, 6) for epoch in (4, 5, 6)]
    assert rates(run) == pytest.approx(expected)
    resumed(run, epochs=7)
    expected += [0.0]
    assert rates(run) == pytest.approx(expected)
    resumed(run, epochs=10, schedule="cosine")
    expected += [cosine(epoch, 10) for epoch in (8, 9, 10)]
    assert rates(run) == pytest.approx(expected)


def test_an_interrupted_run_keeps_its_horizon_too(settings: Any, brief: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it was killed before its first checkpoint."""
    with monkeypatch.context() as patched:
        patched.setattr("dlkit.runtime.fit.Fit._epoch", lambda self: os.kill(os.getpid(), signal.SIGINT) or 1 / 0)
        with pytest.raises(ZeroDivisionError):
            session.train(settings(schedule="cosine"), QUIET)
    run = resumed(open_run("latest", Path(settings().run.runs)), epochs=4)
    assert rates(run) == pytest.approx([cosine(epoch, 2) for epoch in (1, 2, 3, 4)])


def change_one_pixel(arrays: dict[str, Any]) -> None:
    arrays["images"][3, 2, 2] ^= 1


def change_one_label(arrays: dict[str, Any]) -> None:
    arrays["labels"][3] = (arrays["labels"][3] + 1) % 3


def change_a_split(arrays: dict[str, Any]) -> None:
    arrays["split"][[3, 70]] = arrays["split"][[70, 3]]


@pytest.mark.parametrize("change", [change_one_pixel, change_one_label, change_a_split], ids=lambda c: c.__name__)
def test_changed_data_is_refused(
    settings: Any, shapes_npz: Path, tmp_path: Path, brief: None, capsys: pytest.CaptureFixture[str], change: Any
) -> None:
    path = tmp_path / "mine.npz"
    shutil.copy(shapes_npz, path)
    run = session.train(settings(data=str(path), epochs=1), QUIET)
    before = {file: file.read_bytes() for file in run.path.rglob("*") if file.is_file()}
    with np.load(path) as archive:
        arrays = dict(archive.items())
    change(arrays)
    np.savez(path, **arrays)
    assert main(["resume", str(run.path), "--epochs", "3"]) == 3
    assert "is not what mine-001 was trained on" in capsys.readouterr().err
    assert {file: file.read_bytes() for file in run.path.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"epochs": "0"}, "at least 1"), ({"schedule": "cosin"}, "cosine"), ({"patience": "x"}, "--patience")],
)
def test_changes_that_do_not_fit_change_nothing(trained: Path, changes: dict[str, object], said: str) -> None:
    before = (trained / "config.toml").read_bytes()
    with pytest.raises(UsageError, match=said):
        session.resume(open_run(str(trained)), QUIET, changes=changes)
    assert (trained / "config.toml").read_bytes() == before


def test_two_do_not_train_one_run(trained: Path) -> None:
    before = (trained / "config.toml").read_bytes()
    with Run(trained).locked(), pytest.raises(UsageError, match="Another process"):
        session.resume(open_run(str(trained)), QUIET, changes={"epochs": 9})
    assert (trained / "config.toml").read_bytes() == before


def test_resuming_repairs_a_spoilt_model(trained: Path, tmp_path: Path, brief: None) -> None:
    path = tmp_path / "copy-001"
    shutil.copytree(trained, path)
    (path / "model.safetensors").write_bytes(b"half")
    assert weights(resumed(Run(path))) == weights(Run(trained))


def test_a_run_resumes_with_the_threads_that_it_began_with(settings: Any, brief: None) -> None:
    run = session.train(settings(threads=None), QUIET)
    environments = run.environments
    environments[0]["threads"] = 3
    (run.path / "environment.json").write_text(json.dumps(environments))
    resumed(run)
    assert run.environments[1]["threads"] == 3
    torch.set_num_threads(1)


# --- ways to stop -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_go_on(
    settings: Any, brief: None, monkeypatch: pytest.MonkeyPatch, signum: signal.Signals
) -> None:
    whole = session.train(settings(epochs=3), QUIET)
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patched:
        patched.setattr(Run, "epoch_ended", lambda run, phase, row: os.kill(os.getpid(), signum))
        with pytest.raises(Interrupted) as caught:
            session.train(settings(epochs=3), QUIET)
    run = open_run("latest", Path(settings().run.runs))
    assert caught.value.exit_code == 128 + signum
    assert caught.value.hint.endswith(f"dlkit resume {run.path}")
    assert (run.status["status"], run.status["signal"]) == ("interrupted", signum)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    with pytest.raises(DataError, match="no model yet"):
        session.evaluate(run, QUIET)
    assert len(run.metrics()) == 1
    resumed(run)
    assert rows(run) == rows(whole)
    assert weights(run) == weights(whole)
    assert run.status["status"] == "finished"


def test_training_that_goes_astray_is_recorded(settings: Any, brief: None) -> None:
    with pytest.raises(TrainingError, match="went astray"):
        session.train(settings(lr=1e30, optimizer="sgd", loss="bce", epochs=3), QUIET)
    status = open_run("latest", Path(settings().run.runs)).status
    assert status["status"] == "failed"
    assert "TrainingError" in status["error"]


def test_what_cannot_train_makes_no_run(settings: Any) -> None:
    for given, error in (
        ({"data": "/nowhere.npz"}, DataError),
        ({"net": "conv", "kernel": 2}, UsageError),
        ({"loss": "bce", "normalize": "channel"}, UsageError),
        ({"device": "cuda:77"}, UsageError),
        ({"name": "a/b"}, UsageError),
        ({"optimizer": "adamm"}, UsageError),
        ({"data": ""}, DataError),
    ):
        with pytest.raises(error):
            session.train(settings(**given), QUIET)
    assert not list(Path(settings().run.runs).glob("*/*"))


def test_a_misspelt_data_set_is_suggested(settings: Any) -> None:
    with pytest.raises(DataError) as caught:
        session.train(settings(data="digitss"), QUIET)
    assert "'digitss' is neither" in caught.value.message
    assert "'digits'" in caught.value.hint


# --- evaluation and paths ---------------------------------------------------------------------------------------


def test_evaluation_of_the_own_data_is_the_stored_one(trained: Path) -> None:
    run = open_run(str(trained))
    assert session.evaluate(run, QUIET) == run.load_evaluation()


def test_also_for_convolutions(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "save_pictures", lambda pictures, folder: None)
    monkeypatch.setattr(session, "write_report", lambda path: None)
    run = session.train(settings(net="conv", layers="4,5", epochs=1, batch_norm=True), QUIET)
    assert session.evaluate(open_run(str(run.path)), QUIET) == run.load_evaluation()


def test_a_run_finds_its_data_from_anywhere(
    settings: Any, shapes_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, brief: None
) -> None:
    (tmp_path / "a").mkdir()
    shutil.copy(shapes_npz, tmp_path / "a" / "mine.npz")
    monkeypatch.chdir(tmp_path / "a")
    run = session.train(settings(data="mine.npz", epochs=1), QUIET)
    assert tomllib.loads((run.path / "config.toml").read_text())["data"] == str(tmp_path / "a" / "mine.npz")
    monkeypatch.chdir(tmp_path)
    assert resumed(run, epochs=2).metrics()[-1]["epoch"] == 2
    assert session.evaluate(open_run(str(run.path)), QUIET).get("psnr", "test").value > 0


def test_evaluating_changed_data_is_told(
    settings: Any, shapes_npz: Path, tmp_path: Path, brief: None, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.npz"
    shutil.copy(shapes_npz, path)
    run = session.train(settings(data=str(path), epochs=1), QUIET)
    session.evaluate(run, QUIET)
    assert "changed since" not in capfd.readouterr().err
    with np.load(path) as archive:
        arrays = dict(archive.items())
    change_one_pixel(arrays)
    np.savez(path, **arrays)
    session.evaluate(run, QUIET)
    assert "changed since" in capfd.readouterr().err


def test_data_that_streams_trains_the_same(settings: Any, brief: None) -> None:
    memory, streamed = session.train(settings(), QUIET), session.train(settings(in_memory="no"), QUIET)
    assert weights(memory) == weights(streamed)
    assert rows(memory) == rows(streamed)


def test_labels_are_demanded_where_they_are_needed(settings: Any, shapes_npz: Path, tmp_path: Path) -> None:
    with np.load(shapes_npz) as archive:
        np.savez(tmp_path / "bare.npz", images=archive["images"])
    made = settings(data=str(tmp_path / "bare.npz"))
    needy = replace(made, card=replace(made.card, needs_labels=True))
    for verb in (session.train, dry_run):
        with pytest.raises(DataError, match="needs labels"):
            verb(needy, QUIET)
    assert not Path(made.run.runs).exists()


# --- dry run ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("net", ["dense", "conv"])
def test_a_dry_run_counts_and_writes_nothing(
    settings: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], net: str
) -> None:
    made = settings(net=net, layers="16,8", epochs=7)
    dry_run(made, Display(json=True))
    plan = json.loads(capsys.readouterr().out)
    [phase] = plan["phases"]
    if net == "dense":
        widths = [64, 16, 8, 6, 8, 16, 64]
        count = sum(before * here + here for before, here in pairwise(widths))
    else:  # 8 × 8 → 4 × 4 → 2 × 2 and back
        count = (9 * 1 * 16 + 16) + (9 * 16 * 8 + 8) + (32 * 6 + 6)
        count += (6 * 32 + 32) + (9 * 8 * 16 + 16) + (9 * 16 * 16 + 16) + (9 * 16 * 1 + 1)
    assert (phase["phase"], phase["epochs"], phase["trainable"], phase["frozen"]) == ("train", 7, count, 0)
    assert phase["memory_bytes"]["gradients"] == 4 * count
    assert plan["options"]["layers"] == [16, 8]
    assert plan["data"]["counts"] == {"train": 64, "val": 16, "test": 16}
    dry_run(made, Display())
    out = capsys.readouterr().out
    assert f"{count:,}" in out
    assert tomllib.loads(out.partition("\nData ")[0])["code"] == 6
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_finds_what_would_stop_the_training(settings: Any) -> None:
    for given in ({"net": "conv", "kernel": 2}, {"loss": "bce", "normalize": "channel"}, {"optimizer": "adamm"}):
        with pytest.raises(UsageError):
            dry_run(settings(**given), QUIET)


def test_weights_at_the_start_depend_on_the_seed_only(settings: Any, shapes_npz: Path) -> None:
    from dlkit.runtime import Runtime

    made = settings()
    spec = load_training_data(made, QUIET).spec

    def start(seed: int) -> nn.Module:
        runtime = Runtime(replace(made.runtime, seed=seed))
        torch.rand(5)
        return session.build_technique(made, spec, runtime).inference_module()

    first, second, third = (list(start(seed).parameters()) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], third[0])


def test_labels_of_a_kind_that_the_technique_cannot_learn_from_are_refused(settings: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "n.npz", images=np.zeros((20, 8, 8), np.uint8), labels=np.linspace(0, 1, 20))
    chosen = settings(data=str(tmp_path / "n.npz"))
    assert load_training_data(chosen, QUIET).spec.target == "number"  # it needs no labels
    card = replace(chosen.card, needs_labels=True)
    with pytest.raises(DataError, match=r"learns from one class per image; the labels of .* are numbers"):
        load_training_data(replace(chosen, card=card), QUIET)
    either = replace(card, targets=("classes", "number"))
    assert load_training_data(replace(chosen, card=either), QUIET).spec.target == "number"
