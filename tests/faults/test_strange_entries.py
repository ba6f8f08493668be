"""Runs of which one entry of one file was changed, as campaigns/strangers.py changes them."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import entries
import pytest
from strangers import FEW, TECHNIQUES, verb

from dlkit import session
from dlkit.cli.main import main

MOMENTS = ("state", "optimizer", "state", 0)
GROUP = ("state", "optimizer", "param_groups", 0)


@pytest.fixture(autouse=True)
def no_conclusion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "conclude", lambda *_: None)


def used(original: Path, place: Path, change: tuple[str, entries.Place, str], longer: bool) -> int:
    """The exit code of the verb that reads the changed file."""
    file, at, way = change
    run = place / original.parent.name / original.name
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(original, run)
    try:
        entries.write(run, file, entries.changed(entries.read(run, file), at, way))
    except (TypeError, ValueError):  # no such file can be made
        return 0
    return main(verb(file, run, longer=longer))


@pytest.mark.parametrize(
    ("place", "way"),
    [
        ((*MOMENTS, "exp_avg_sq"), "dropped"), ((*MOMENTS, "exp_avg"), "renamed"), ((*MOMENTS, "exp_avg"), "nothing"),
        ((*MOMENTS, "step"), "dropped"), ((*GROUP, "betas"), "reshaped"), ((*GROUP, "betas", 0), "retyped"),
        ((*GROUP, "eps"), "dropped"), ((*GROUP, "initial_lr"), "dropped"), ((*GROUP, "initial_lr"), "retyped"),
        ((*GROUP, "initial_lr"), "nothing"),
        (("limit",), "retyped"), (("limit",), "reshaped"), (("best",), "retyped"), (("best", "network"), "dropped"),
        (("best", "network"), "reshaped"), (("random",), "nothing"), (("state", "network"), "retyped"),
    ],
    ids=str,
)  # fmt: skip
def test_an_entry_of_a_checkpoint(trained: Path, tmp_path: Path, place: Any, way: str, capsys: Any) -> None:
    """Without `exp_avg_sq` training ended in a traceback, in the middle of an update."""
    assert used(trained, tmp_path, ("checkpoints/train/last.safetensors", place, way), longer=True) == 3
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert "last.safetensors does not fit this training" in error


def changes(run: Path, count: int) -> list[tuple[str, entries.Place, str]]:
    return random.Random(0).sample(list(entries.changes(run)), count)


def check(run: Path, place: Path, count: int, longer: bool, capsys: Any) -> None:
    for change in changes(run, count):
        code, error = used(run, place, change, longer), capsys.readouterr().err
        assert code in (0, 1, 2, 3), change
        assert "Traceback" not in error, change
        assert code == 0 or error.strip(), change


def test_any_entries(trained: Path, tmp_path: Path, capsys: Any) -> None:
    check(trained, tmp_path, 10, True, capsys)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("technique", TECHNIQUES)
def test_any_entries_of_each_kind(technique: str, shapes_npz: Path, tmp_path: Path, capsys: Any) -> None:
    words = [*TECHNIQUES[technique], *FEW.get(technique, []), "--data", str(shapes_npz), "--runs", str(tmp_path)]
    assert main(["train", technique, *words]) == 0
    check(next((tmp_path / technique).iterdir()), tmp_path / "changed", 150, technique in FEW, capsys)
