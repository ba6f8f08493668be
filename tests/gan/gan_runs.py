"""Trainings of generators through the command line."""

from __future__ import annotations

from pathlib import Path

from dlkit.cli.main import main


def whole_and_resumed(words: list[str], data: Path, folder: Path) -> Path:
    """Train three epochs at once and in two parts, which must end with the same bits; where the whole one is."""
    weights = []
    for name, epochs in (("whole", ["--epochs", "3"]), ("parts", ["--epochs", "1"])):
        runs = str(folder / name)
        assert main([*words, *epochs, "--data", str(data), "--runs", runs]) == 0
        if name == "parts":
            assert main(["resume", "latest", "--runs", runs, "--epochs", "3", "--quiet"]) == 0
        weights.append((folder / name / "latest" / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]
    return folder / "whole"
