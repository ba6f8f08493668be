"""Names of input files as names of output files; light."""

from __future__ import annotations

from pathlib import Path

from dlkit.report.figures import clean


def file_stem(path: Path, limit: int = 150) -> str:
    """An input's stem for the name of an output file: what is not printable becomes ``_``; at most ``limit`` bytes."""
    text = "".join(each if clean(each) == each else "_" for each in path.stem)
    return text.encode()[:limit].decode("utf-8", "ignore") or "_"
