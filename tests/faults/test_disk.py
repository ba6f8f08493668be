"""A disk that is full, or read-only, at any write of a training; campaigns/disk.py does it with real disks."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from dlkit import files, session
from dlkit.cli.main import main

WORDS = ["train", "autoencoder", "--layers", "8", "--code", "3", "--epochs", "3", "--batch-size", "16",
         "--threads", "1", "--checkpoint-every", "0", "--quiet"]  # fmt: skip


class Disk:
    """Refuses the write of a number, and all after it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left: float = float("inf")
        self.code = errno.ENOSPC
        sync = files._sync

        def refuse(path: Path) -> None:
            self.left -= 1
            if self.left < 0:
                raise OSError(self.code, "refused")
            sync(path)

        monkeypatch.setattr(files, "_sync", refuse)


def learned(run: Path) -> Any:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    times = ("seconds", "images_per_second")
    return (run / "model.safetensors").read_bytes(), [
        {key: row[key] for key in row if key not in times} for row in rows
    ]


def test_each_write_may_be_refused(
    shapes_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(session, "conclude", lambda *_: None)
    disk = Disk(monkeypatch)
    words = [*WORDS, "--data", str(shapes_npz), "--runs"]
    assert main([*words, str(tmp_path / "whole")]) == 0
    expected = learned(tmp_path / "whole" / "autoencoder" / "shapes-001")
    resumed = refused = 0
    for number in range(0, 60, 5):
        disk.left, disk.code = number, (errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO)[number % 4]
        capsys.readouterr()
        code = main([*words, str(tmp_path / str(number))])
        run = tmp_path / str(number) / "autoencoder" / "shapes-001"
        disk.left = float("inf")
        error = capsys.readouterr().err
        assert code in (0, 1)
        assert "Traceback" not in error
        assert not list(run.rglob("*.tmp"))
        for path in run.rglob("*.safetensors"):
            with safe_open(path, "np") as file:
                assert all(file.get_tensor(name) is not None for name in file.keys())  # noqa: SIM118 (not a dict)
        if code:
            refused += 1
            assert "Cannot write" in error
            assert "Free some space, or choose another place" in error
        if (run / "data.json").exists() and (run / "config.toml").exists():
            resumed += 1
            assert main(["resume", str(run), "--quiet"]) == 0
            assert learned(run) == expected
    assert refused > 4
    assert resumed > 4
