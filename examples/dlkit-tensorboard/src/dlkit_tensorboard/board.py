"""What is written for TensorBoard, through PyTorch's own writer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlkit.run import Run

FOLDER = "tensorboard"
_NO_FIGURES = {"phase", "epoch", "step", "seconds"}

_boards: dict[Path, Board] = {}


class Board:
    """A run's folder of events.

    Steps are the epochs of the whole training, one phase after the other. They only ever grow, so that a resumed
    training can say from which one on what was written before no longer counts.

    Args:
        folder: where they are written.
        writer: makes what writes them: ``torch.utils.tensorboard.SummaryWriter``, or a stand-in.
    """

    def __init__(self, folder: Path, writer: Callable[..., Any]) -> None:
        self.folder, self._make = folder, writer
        self._writer: Any = None

    def writer(self, step: int) -> Any:
        """What writes; events of this step and later ones, left by a process before, are no longer shown."""
        if self._writer is None:
            self._writer = self._make(log_dir=str(self.folder), purge_step=step)
        return self._writer

    def epoch(self, run: Run, phase: str, metrics: Mapping[str, float]) -> None:
        """A point on each curve of the phase."""
        step = len(run.metrics())  # this epoch's row is the last one
        for name, value in metrics.items():
            if name not in _NO_FIGURES and isinstance(value, int | float):
                self.writer(step).add_scalar(f"{phase}/{name}", value, step)

    def conclude(self, run: Run) -> None:
        """Figures beside their baselines, the report's pictures, the options; then close the file."""
        step = len(run.metrics()) + 1  # after the last epoch: a resumed training replaces them
        writer = self.writer(step)
        for row in run.load_evaluation() or ():
            name = f"evaluation/{row.split}/{row.name}"
            writer.add_scalar(name, row.value, step)
            for baseline, value in row.baselines.items():
                writer.add_scalar(f"{name}/{baseline}", value, step)
        for name, pixels in pictures(run.path / "plots"):
            writer.add_image(f"plots/{name}", pixels, step, dataformats="HWC")
        writer.add_text("options", f"```\n{(run.path / 'config.toml').read_text(encoding='utf-8')}\n```", step)
        writer.close()
        self._writer = None


def pictures(folder: Path) -> list[tuple[str, Any]]:
    """Name and pixels ``(H, W, 3)``, uint8, of the pictures that a report shows."""
    import numpy as np
    from PIL import Image

    index = folder / "index.json"
    rows = json.loads(index.read_text(encoding="utf-8")) if index.is_file() else []
    found = []
    for row in rows:
        with Image.open(folder / row["file"]) as image:
            found.append((Path(row["file"]).stem, np.asarray(image.convert("RGB"))))
    return found


def begin(run: Run) -> None:
    """Make ready for a run's events.

    Raises:
        ImportError: TensorBoard is not installed.
    """
    from torch.utils.tensorboard import SummaryWriter

    _boards[run.path] = Board(run.path / FOLDER, SummaryWriter)


def board(run: Run) -> Board:
    """That of a run; one whose beginning was not heard begins now."""
    if run.path not in _boards:
        begin(run)
    return _boards[run.path]
