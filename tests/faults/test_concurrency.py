"""Eight processes at once: runs, ``latest`` and one file. The cache of features has a test of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COUNT, TURNS = 8, 12
WORK = """
import sys
from pathlib import Path
from dlkit.files import write_text
from dlkit.run.directory import create_directory, point_latest

number, root = sys.argv[1], Path("runs")
print("ready", flush=True)
sys.stdin.readline()
for turn in range(12):
    run = create_directory(root, "technique", "name")
    point_latest(root, run)
    write_text(Path("shared.txt"), number * 5000)
    assert len(set(Path("shared.txt").read_text())) == 1
"""


@pytest.mark.timeout(120)
def test_nothing_collides(tmp_path: Path) -> None:
    workers = [
        subprocess.Popen([sys.executable, "-c", WORK, str(number)], cwd=tmp_path, stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for number in range(COUNT)
    ]  # fmt: skip
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()
    ended = [worker.communicate() for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * COUNT, ended
    runs = list((tmp_path / "runs" / "technique").iterdir())
    assert sorted(run.name for run in runs) == [f"name-{number:03d}" for number in range(1, TURNS * COUNT + 1)]
    assert (tmp_path / "runs" / "latest").resolve() in runs
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".tmp" or path.name.startswith(".latest")]
