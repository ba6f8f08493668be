"""The report of a run."""

from __future__ import annotations

from pathlib import Path


def write_report(run_path: Path) -> Path:
    """Write ``report.html``."""
    raise NotImplementedError(run_path)
