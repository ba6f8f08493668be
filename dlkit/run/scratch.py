"""A run for trainings that are means to an end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal


class Scratch:
    """Nothing is recorded, and checkpoints lie in a folder that its owner throws away.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def record(self, row: Mapping[str, Any]) -> None:
        """Nothing is kept."""

    def metrics_position(self) -> int:
        """There is none."""
        return 0

    def cut_metrics(self, position: int) -> None:
        """There are none."""

    def checkpoint_path(self, phase: str, which: Literal["last", "best"]) -> Path:
        """A place in the folder."""
        folder = self.path / phase
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{which}.safetensors"
