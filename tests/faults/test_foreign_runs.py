"""Runs from strangers whose entries lead elsewhere, never end, or are giants."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from dlkit.cli.main import main
from dlkit.errors import DataError, DlkitError
from dlkit.run import Run, open_run
from dlkit.settings import technique_of

ENTRIES = ("log.txt", "metrics.jsonl", ".lock", "plots", "checkpoints", "exports", "checkpoints/train", "plots/x.png")


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "runs" / "autoencoder" / "shapes-001"))


def replaced(run: Path, name: str) -> Path:
    path = run / name
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    return path


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", ENTRIES)
def test_nothing_leads_out_of_a_run(run: Path, name: str, tmp_path: Path) -> None:
    """`dlkit resume` of a run whose log was a link wrote into the file that it led to."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "file").write_text("mine")
    replaced(run, name).symlink_to(mine if "." not in name else mine / "file")
    with pytest.raises(DataError, match="a link that leads out of the run"):
        open_run(str(run))
    for command in (["report", str(run)], ["resume", str(run), "--quiet"]):
        assert main(command) == 3
    assert main(["runs", "--runs", str(run.parents[1])]) == 0
    assert (mine / "file").read_text() == "mine"
    assert [path.name for path in mine.iterdir()] == ["file"]


def test_what_is_added_follows_no_link(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    for name in ("log.txt", "metrics.jsonl", ".lock"):
        replaced(run, name).symlink_to(tmp_path / "mine")
    opened = Run(run)
    for write in (lambda: opened.log("x"), lambda: opened.record({}), lambda: opened.cut_metrics(0), lock(opened)):
        with pytest.raises(DlkitError, match="it is a link"):
            write()
    assert (tmp_path / "mine").read_text() == "mine"


def lock(run: Run) -> object:
    def enter() -> None:
        with run.locked():
            pass

    return enter


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", ["metrics.jsonl", "model.safetensors", "log.txt", ".lock"])
def test_a_pipe_is_not_waited_for(run: Path, name: str) -> None:
    os.mkfifo(replaced(run, name))
    assert main(["runs", "--runs", str(run.parents[1])]) == 0
    with pytest.raises(DataError, match="neither a file nor a folder"):
        open_run(str(run))
    assert main(["report", str(run)]) == 3


@pytest.mark.parametrize("name", ["metrics.jsonl", "status.json", "data.json", "evaluation.json"])
def test_a_giant_among_runs(run: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One status of a terabyte, which takes no space on the disk, ended the list of all runs for want of memory."""
    shutil.copytree(run, run.with_name("shapes-002"))
    with (run / name).open("wb") as file:
        file.truncate(1 << 40)
    assert main(["runs", "--runs", str(run.parents[1])]) == 0
    listed, told = capsys.readouterr()
    assert "unreadable" in listed
    assert "finished" in listed
    assert name in told
    assert main(["report", str(run)]) == 3
    assert name in capsys.readouterr().err


def test_a_giant_config(tmp_path: Path) -> None:
    with (tmp_path / "c.toml").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(DlkitError, match="which no config has"):
        technique_of(tmp_path / "c.toml", None)  # type: ignore[arg-type]


def test_a_link_within_a_run_is_ones_own(run: Path) -> None:
    (run / "exports").mkdir()
    (run / "exports" / "latest").symlink_to("../model.safetensors")
    assert open_run(str(run)).path == run
