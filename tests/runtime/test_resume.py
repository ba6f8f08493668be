"""Whatever stops a training, and whenever: resumed, it ends with the same bits."""

from __future__ import annotations

import os
import random
import signal
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from runtime_fakes import FakeRun
from safetensors.torch import load_file
from torch import Tensor
from training import child, same, train

STEPS = 2 * 4 * 4  # phases × epochs × batches


class CrashError(Exception):
    pass


@cache
def uninterrupted() -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    with TemporaryDirectory() as folder:
        tensors, _, run = train(Path(folder), every=1e9)
        return tensors, run.rows()


@pytest.mark.parametrize("every", [1e-9, 0.0, 1e9])
@pytest.mark.parametrize("crash_at", [0, 1, 3, 4, 9, 15, 16, 18, 31])
def test_a_crash_at_any_step(tmp_path: Path, crash_at: int, every: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlkit.runtime.fit._SAVING_SHARE", 1e9)

    def crash(step: int) -> None:
        if step == crash_at:
            raise CrashError

    with pytest.raises(CrashError):
        train(tmp_path, every=every, before_step=crash)
    tensors, results, run = train(tmp_path, every=every)
    expected, rows = uninterrupted()
    assert same(tensors, expected)
    assert run.rows() == rows
    if every == 1e-9 and crash_at % 16:
        assert results[crash_at // 16].resumed


def test_crashes_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlkit.runtime.fit._SAVING_SHARE", 1e9)

    def crash(step: int) -> None:  # each process manages three steps
        if step == 3:
            raise CrashError

    for _ in range(STEPS // 3):
        with pytest.raises(CrashError):
            train(tmp_path, before_step=crash)
    tensors, _, run = train(tmp_path)
    expected, rows = uninterrupted()
    assert same(tensors, expected)
    assert run.rows() == rows


def test_a_finished_training_is_given_back_untouched(tmp_path: Path) -> None:
    tensors, results, run = train(tmp_path)
    rows, files = run.rows(times=True), {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}

    def never(_: int) -> None:
        raise AssertionError

    again, results_again, run = train(tmp_path, before_step=never)
    assert same(again, tensors)
    assert run.rows(times=True) == rows
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")} == files
    assert [(r.epochs, r.steps, r.best_epoch, r.best_value, r.reason, r.seconds) for r in results] == [
        (r.epochs, r.steps, r.best_epoch, r.best_value, r.reason, r.seconds) for r in results_again
    ]
    assert all(result.resumed for result in results_again)


@pytest.mark.parametrize(("moments", "signum"), [(3, signal.SIGKILL), (1, signal.SIGTERM), (1, signal.SIGINT)])
def test_killed_at_random_moments(tmp_path: Path, moments: int, signum: signal.Signals) -> None:
    kill_and_resume(tmp_path, moments, signum)


@pytest.mark.slow
def test_killed_at_twenty_random_moments(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, 20, signal.SIGKILL)


def kill_and_resume(path: Path, moments: int, signum: signal.Signals) -> None:
    """Kill a training in a process of its own, ``moments`` times while it works; finish it; compare the bits."""
    context = get_context("forkserver")  # torch is imported once, each process is a fork of that one
    context.set_forkserver_preload(["torch", "torch._dynamo", "safetensors.torch", "dlkit.runtime.runtime"])
    draw, kills = random.Random(moments + signum), 0
    while kills < moments:
        (path / "killed" / "begun").unlink(missing_ok=True)
        process = context.Process(target=child, args=(path / "killed", 0.005))
        process.start()
        while not (path / "killed" / "begun").exists():
            process.join(0.005)
        process.join(draw.uniform(0.0, 0.8))
        if process.is_alive() and process.pid is not None:
            os.kill(process.pid, signum)
        process.join()
        assert process.exitcode in (0, -signum if signum == signal.SIGKILL else 128 + signum)
        kills += 1
    for name in ("killed", "whole"):
        process = context.Process(target=child, args=(path / name, 0.005 if name == "killed" else 1e9))
        process.start()
        process.join()
        assert process.exitcode == 0
    compare(path)


def compare(path: Path) -> None:
    tensors, expected = (load_file(path / name / "final.safetensors") for name in ("killed", "whole"))
    assert same(tensors, expected)
    assert FakeRun(path / "killed").rows() == FakeRun(path / "whole").rows()
