"""Pictures that a technique draws for people, and how a run keeps them."""

from __future__ import annotations

import io
import re
import struct
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlkit.errors import DataError
from dlkit.files import atomic_path, write_json
from dlkit.run.reading import read_sessions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PNG = b"\x89PNG\r\n\x1a\n"
DPI = 150
INDEX = "index.json"
PLANE, PLANE_IMAGES = "plane.json", "plane-images.png"
"""What the report's interactive plane of codes is made from (:mod:`dlkit.plane`), beside the pictures."""


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
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # not before there is a figure

    FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # class names may be in any script
        # Least compression: a quarter less time for a twelfth more bytes.
        figure.savefig(
            buffer, format="png", dpi=DPI, bbox_inches="tight", pad_inches=0.1, metadata={"Software": None},
            pil_kwargs={"compress_level": 1},
        )  # fmt: skip
    return buffer.getvalue()


def png_size(content: bytes) -> tuple[int, int] | None:
    """Width and height in pixels of a PNG file's content; None where it is none."""
    if not content.startswith(_PNG) or len(content) < 24:
        return None
    width, height = struct.unpack(">II", content[16:24])  # its IHDR chunk, which comes first
    return width, height


def read_index(plots_dir: Path) -> list[dict[str, Any]]:
    """What :func:`save_pictures` returned; nothing where it was not called.

    Raises:
        DataError: the file holds something else.
    """
    entries = read_sessions(plots_dir / INDEX)
    if not all(isinstance(entry.get(key), str) for entry in entries for key in ("name", "title", "caption", "file")):
        raise DataError(f"{str(plots_dir / INDEX)!r} does not list pictures.", "`dlkit resume` writes it anew.")
    return entries


def save_pictures(pictures: Iterable[Picture], plots_dir: Path) -> list[dict[str, Any]]:
    """Write each picture as ``<name>.png``, and ``index.json`` with their order, titles and captions.

    Returns:
        The index: ``[{"name", "title", "caption", "file"}]``, which replaces an earlier one.

    Raises:
        ValueError: two pictures bear one name.
    """
    index: list[dict[str, Any]] = []
    for picture in pictures:
        entry = _written(picture, plots_dir)
        if any(other["file"] == entry["file"] for other in index):
            raise ValueError(f"two pictures are called {picture.name!r}")
        index.append(entry)
    write_json(plots_dir / INDEX, index)
    return index


def add_pictures(pictures: Iterable[Picture], plots_dir: Path) -> None:
    """Write further pictures, after those of the index; one of the same name is replaced."""
    new = {picture.name: _written(picture, plots_dir) for picture in pictures}
    kept = [entry for entry in read_index(plots_dir) if entry["name"] not in new]
    write_json(plots_dir / INDEX, [*kept, *new.values()])


def _written(picture: Picture, plots_dir: Path) -> dict[str, Any]:
    file = f"{picture.name}.png"
    with atomic_path(plots_dir / file) as temporary:
        temporary.write_bytes(png(picture.figure))
    return {"name": picture.name, "title": picture.title, "caption": picture.caption, "file": file}
