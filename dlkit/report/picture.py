"""Pictures that a technique draws for people, and how a run keeps them."""

from __future__ import annotations

import io
import json
import os
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DPI = 150
INDEX = "index.json"


@dataclass(frozen=True)
class Picture:
    """Something to look at in the report.

    Attributes:
        name: file stem, unique in a run: letters, digits, ``-`` and ``_``.
        title: heading.
        caption: what is seen, and what to look for.
        figure: a matplotlib figure, made without pyplot (see :mod:`dlkit.report.plots`).
    """

    name: str
    title: str
    caption: str
    figure: Figure

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", self.name):
            raise ValueError(f"a picture's name is made of letters, digits, - and _, not {self.name!r}")


def png(figure: Figure) -> bytes:
    """The figure as a PNG file's bytes."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # class names may be in any script
        figure.savefig(buffer, format="png", dpi=DPI, bbox_inches="tight", pad_inches=0.1, metadata={"Software": None})
    return buffer.getvalue()


def save_pictures(pictures: Iterable[Picture], plots_dir: Path) -> list[dict[str, Any]]:
    """Write each picture as ``<name>.png``, and ``index.json`` with their order, titles and captions.

    Returns:
        The index: ``[{"name", "title", "caption", "file"}]``, which replaces an earlier one.

    Raises:
        ValueError: two pictures bear one name.
    """
    plots_dir.mkdir(parents=True, exist_ok=True)
    index: list[dict[str, Any]] = []
    for picture in pictures:
        file = f"{picture.name}.png"
        if any(entry["file"] == file for entry in index):
            raise ValueError(f"two pictures are called {picture.name!r}")
        write_atomically(plots_dir / file, png(picture.figure))
        index.append({"name": picture.name, "title": picture.title, "caption": picture.caption, "file": file})
    write_atomically(plots_dir / INDEX, json.dumps(index, indent=2).encode())
    return index


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
