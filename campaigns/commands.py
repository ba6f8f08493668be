"""Runs dlkit's commands for the campaigns: one process imports everything once, and forks a child for each command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path


class Commands:
    """Runs commands, each in a process of its own that begins with everything imported.

    Args:
        home: caches and scratch of these commands.
    """

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.errors = home / "errors.txt"
        environment = {**os.environ, "DLKIT_HOME": str(home / "cache"), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
        )

    def start(self, words: Sequence[str], *, environment: Mapping[str, str] | None = None) -> int:
        """Begin a command (``["train", …]``); the number of its process. Collect it with :meth:`wait`."""
        assert self.process.stdin is not None
        order = {"words": list(words), "errors": str(self.errors), "environment": dict(environment or {})}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return self._read()

    def wait(self) -> tuple[int, str]:
        """Exit code (negative: the signal that ended it) and standard error of the command that was started."""
        return self._read(), self.errors.read_text(errors="replace")

    def run(self, *words: str) -> tuple[int, str]:
        """A whole command."""
        self.start(words)
        return self.wait()

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _read(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())


def scratch(name: str, at: str | None) -> Path:
    """An empty folder for a campaign, under ``at`` or the system's folder for temporary files."""
    if at is not None:
        Path(at).mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=at))


def preload() -> None:
    """What commands import, none of which computes anything yet: a fork has no threads to lose."""
    import onnxruntime  # noqa: F401
    import torch.onnx

    import dlkit.cli.run_verbs
    import dlkit.cli.train_command
    import dlkit.export.exporting
    import dlkit.export.onnx_format
    import dlkit.report.plots
    import dlkit.session  # noqa: F401
    from dlkit.discovery import registry

    torch.set_num_threads(1)
    for registered in registry().techniques.values():
        registered.card.load()


def _serve() -> None:
    from dlkit.cli.main import main

    preload()
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os.environ.update(order["environment"])
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(os.open(order["errors"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 2)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
            code = main(order["words"])
            sys.stderr.flush()
            os._exit(code)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    _serve()
