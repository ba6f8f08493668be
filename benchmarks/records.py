"""What benchmarks that take long share: results that are appended to a file as they come, and means with intervals."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dlkit.repeats import mean_and_t_interval

NOT_RUN = "*not run*"


def rows(path: Path) -> list[dict[str, Any]]:
    """What is in the file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def append(path: Path, row: Mapping[str, Any]) -> None:
    """One result more."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")


def with_interval(values: Sequence[float], digits: int = 2) -> str:
    """Mean and 95 % interval by Student's t; the value alone of one; *not run* of none."""
    if len(values) < 2:
        return f"{values[0]:.{digits}f}" if values else NOT_RUN
    mean, interval = mean_and_t_interval(values, shared=False)
    assert interval is not None or not math.isfinite(mean)
    low, high = interval or (mean, mean)
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


class Unrecorded:
    """A run of which nothing is kept."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def record(self, row: Mapping[str, Any]) -> None:
        """Nothing is kept."""

    def metrics_position(self) -> int:
        """There is none."""
        return 0

    def cut_metrics(self, position: int) -> None:
        """There are none."""

    def checkpoint_path(self, phase: str, which: str) -> Path:
        """A place in the temporary directory."""
        folder = self.path / phase
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{which}.safetensors"

    def epoch_ended(self, *_: object) -> None:
        """Nobody is told."""


@contextmanager
def unrecorded() -> Iterator[Any]:
    """A run that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        yield Unrecorded(Path(folder))
