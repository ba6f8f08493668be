"""What a killed process leaves is removed by the next one that writes the same; what a living one has is not."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from dlkit import files
from dlkit.cli.main import main
from dlkit.files import atomic_path, made_folder, scratch_folder, write_new, write_text
from dlkit.predict.writers import Pictures

WRITER = """
import os, sys, time
from pathlib import Path
from dlkit.files import atomic_path, made_folder, scratch_folder
with atomic_path(Path(sys.argv[1])) as temporary, scratch_folder("test-left") as folder:
    temporary.write_text("half")
    (folder / "x").write_text("x")
    print("writing", flush=True)
    time.sleep(60)
"""


def writer(target: Path, temporary: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "TMPDIR": str(temporary)}
    started = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(target)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "writing\n"
    return started


def test_what_a_killed_process_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    target = tmp_path / "out" / "file.txt"
    alive, killed = writer(target, tmp_path / "tmp"), writer(target, tmp_path / "tmp")
    stranger = tmp_path / "tmp" / "dlkit-test-left-00000000-1-abc"  # of another machine
    stranger.mkdir()
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert len(list(target.parent.iterdir())) == 2
    try:
        write_text(target, "whole")
        with scratch_folder("test-left") as mine:
            there = set((tmp_path / "tmp").iterdir())
        assert target.read_text() == "whole"
        assert [path.name.split("-")[1] for path in target.parent.glob(".*.tmp")] == [str(alive.pid)]
        assert {path.name.split("-")[4] for path in there - {mine, stranger}} == {str(alive.pid)}
        assert stranger in there
    finally:
        alive.send_signal(signal.SIGTERM)
        alive.wait()


def test_the_folder_is_gone_after_the_block_and_after_an_error(tmp_path: Path) -> None:
    with scratch_folder("test-left") as folder:
        (folder / "deep").mkdir()
    assert not folder.exists()
    with pytest.raises(RuntimeError), scratch_folder("test-left") as folder:
        raise RuntimeError
    assert not folder.exists()
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "x") as temporary:
        raise RuntimeError
    assert not temporary.exists()


@pytest.mark.parametrize("name", ["x.png", "é" * 120 + ".png", "😀" * 60 + ".txt", "a" * 251 + ".png"])
def test_names_as_long_as_they_may_be(tmp_path: Path, name: str) -> None:
    write_text(tmp_path / name, "whole")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / name, b"another")
    assert (tmp_path / name).read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_new_file_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of `dlkit predict` were cut off where the disk was full, or where somebody killed it."""
    write_new(tmp_path / "a.png", b"whole")
    monkeypatch.setattr(os, "link", lambda *_: os.open("/proc/no/such", os.O_RDONLY))  # no links there
    write_new(tmp_path / "b.png", b"whole")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "b.png", b"another")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # as full as a test can make it
    try:
        with pytest.raises(OSError, match="too large"):
            write_new(tmp_path / "c.png", b"x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.png": b"whole", "b.png": b"whole"}


def left(folder: Path, name: str, process: int) -> Path:
    """What that process was writing when it was killed, as :func:`write_new` does it."""
    owner = files._owner().replace(f"-{os.getpid()}-", f"-{process}-")
    path = folder / f"{files._stem(folder / name)}{owner}140.tmp"
    path.write_text("half")
    return path


@pytest.fixture
def dead() -> int:
    """The number of a process that is no more."""
    with subprocess.Popen(["true"]) as ended:
        pass
    return ended.pid


def test_pictures_of_a_killed_process_do_not_stay_half_written(tmp_path: Path, dead: int) -> None:
    """`dlkit predict --out DIR` writes other names the next time, so nobody removed them."""
    gone = left(tmp_path, "cat\n.png", dead), left(tmp_path, "dog-2.png", dead)
    there = left(tmp_path, "cat.png", os.getpid()), left(tmp_path, "bird.png", 1), tmp_path / ".mine.12-3-4.tmp"
    there[-1].write_text("the user's")
    Pictures(tmp_path, {"reconstruction": "image"})
    assert not [path for path in gone if path.exists()]
    assert set(tmp_path.iterdir()) == set(there)


def test_numbered_folders_are_cleared_by_the_next(tmp_path: Path, dead: int) -> None:
    """`dlkit generate` writes into 002 where it was killed in 001."""
    folder = made_folder(None, tmp_path)
    gone, there = left(folder, "sheet.png", dead), left(folder, "sheet.png", os.getpid())
    (tmp_path / "7").touch()
    assert made_folder(None, tmp_path).name == "008"
    assert not gone.exists()
    assert there.exists()


def test_a_config_is_whole_or_not_there(tmp_path: Path, dead: int, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "autoencoder", "--write-config", str(tmp_path / "c.toml")]
    left(tmp_path, "c.toml", dead)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        assert main(words) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "c.toml cannot be written: File too large" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert main(words) == 0
    assert main(words) == 2
    assert "is never overwritten" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["c.toml"]
