"""Training that is killed again and again ends with the same bits as one that is left in peace."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from dlkit.run import Run

MAIN = "import sys; from dlkit.cli.main import main; sys.exit(main())"

# Imports once and forks a process for each command. Evaluation, pictures and report take longer than this training.
SERVER = """
import json, os, sys
from dlkit import session
from dlkit.cli.main import main
import dlkit_builtin.autoencoder.technique
session.conclude = lambda run, *arguments: None
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        sys.stdout = open(os.devnull, "w")
        code = main(json.loads(line))
        sys.stderr.flush()
        os._exit(code)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Server:
    """Runs commands one after another, each in a process of its own."""

    def __init__(self, errors: Path) -> None:
        self.errors = errors
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors.open("w"),
            text=True,
        )

    def start(self, *words: str) -> int:
        assert self.process.stdin is not None
        self.errors.write_text("")
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return self.read()

    def read(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "errors")
    yield made
    assert made.process.stdin is not None
    made.process.stdin.close()
    made.process.wait(timeout=60)


def start(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", MAIN, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def begun(run: Path, sessions: int, rows: int) -> bool:
    """Whether the run is in its ``sessions``-th session, and has trained for ``rows`` epochs in all."""
    environment, metrics = run / "environment.json", run / "metrics.jsonl"
    if not environment.exists() or len(json.loads(environment.read_text())) < sessions:
        return False
    return rows == 0 or (metrics.exists() and metrics.read_bytes().count(b"\n") >= rows)


def wait(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.002)


def learned(path: Path) -> dict[str, Any]:
    """All that a training leaves, times excepted."""
    times = ("seconds", "images_per_second")
    rows = [{key: value for key, value in row.items() if key not in times} for row in Run(path).metrics()]
    evaluation = path / "evaluation.json"
    return {
        "rows": rows,
        "evaluation": evaluation.read_text() if evaluation.exists() else None,
        "model": (path / "model.safetensors").read_bytes(),
    }


def same(killed: Path, whole: Path) -> None:
    assert learned(killed) == learned(whole)
    for which in ("last", "best"):
        mine, theirs = (load_file(path / "checkpoints" / "train" / f"{which}.safetensors") for path in (killed, whole))
        assert set(mine) == set(theirs)
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def words(data: Path, root: Path, *more: str) -> list[str]:
    return ["train", "autoencoder", "--denoise", "--dropout", "0.1", "--schedule", "cosine", "--data", str(data),
            "--layers", "16", "--code", "6", "--batch-size", "6", "--threads", "1", "--checkpoint-every", "0.02",
            "--quiet", "--runs", str(root), *more]  # fmt: skip


def test_three_kills_and_two_signals(shapes_npz: Path, tmp_path: Path, server: Server) -> None:
    run = tmp_path / "killed" / "autoencoder" / "shapes-001"
    plan = [(signal.SIGKILL, 4), (signal.SIGTERM, 14), (signal.SIGKILL, 24), (signal.SIGINT, 34), (signal.SIGKILL, 44)]
    for session, (signum, rows) in enumerate(plan, start=1):
        train = words(shapes_npz, tmp_path / "killed", "--epochs", "60")
        pid = server.start(*(train if session == 1 else ["resume", str(run), "--quiet"]))
        wait(lambda session=session, rows=rows: begun(run, session, rows))  # type: ignore[misc]
        os.kill(pid, signum)
        code, err, status = server.read(), server.errors.read_text(), json.loads((run / "status.json").read_text())
        if signum == signal.SIGKILL:
            assert (code, status["status"]) == (-signal.SIGKILL, "training")
        else:
            assert (code, status["status"]) == (128 + signum, "interrupted")
            assert f"dlkit resume {run}" in err
            assert "Traceback" not in err
    for command in (["resume", str(run), "--quiet"], words(shapes_npz, tmp_path / "whole", "--epochs", "60")):
        server.start(*command)
        assert (server.read(), server.errors.read_text()) == (0, "")
    same(run, tmp_path / "whole" / "autoencoder" / "shapes-001")
    assert len(learned(run)["rows"]) == 60


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("net", ["dense", "conv"])
def test_twenty_kills_at_random_moments(shapes_npz: Path, tmp_path: Path, net: str) -> None:
    more = ["--net", net, "--layers", "8,8", "--batch-norm", "--epochs", "300" if net == "dense" else "60"]
    whole = start(*words(shapes_npz, tmp_path / "whole", *more))
    reference = tmp_path / "whole" / "autoencoder" / "shapes-001"
    wait(lambda: begun(reference, 1, 0))
    began = time.monotonic()
    assert whole.wait(timeout=600) == 0
    span = time.monotonic() - began  # training, evaluation, report
    run = tmp_path / "killed" / "autoencoder" / "shapes-001"
    moments = random.Random(0)
    killed = sessions = 0
    while killed < 20:
        sessions += 1
        command = words(shapes_npz, tmp_path / "killed", *more) if sessions == 1 else ["resume", str(run), "--quiet"]
        process = start(*command)
        wait(lambda: begun(run, sessions, 0))  # noqa: B023
        try:
            process.wait(moments.uniform(0, span / 4))
        except subprocess.TimeoutExpired:
            process.kill()
            killed += 1
        process.wait()
        assert process.returncode in (0, -signal.SIGKILL)
    last = start("resume", str(run), "--quiet")
    assert last.wait(timeout=600) == 0
    same(run, reference)
