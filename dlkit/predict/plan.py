"""What of a model's outputs is written where, settled before any work is done; light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlkit.errors import UsageError

if TYPE_CHECKING:
    from dlkit.technique import OutputKind

FORMATS = ("png", "csv", "json", "npz")
_TABLE_NAME = "predictions"


@dataclass(frozen=True)
class Plan:
    """Where things go.

    Attributes:
        png: folder of the pictures, or None for no pictures.
        table: ``csv`` or ``json`` where there is a table, else empty.
        table_path: the table's file; None for standard output.
        npz: the array file, or None.
    """

    png: Path | None = None
    table: str = ""
    table_path: Path | None = None
    npz: Path | None = None


def plan_output(outputs: Mapping[str, OutputKind], out: Path | None, format: str | None) -> Plan:
    """Settle the plan.

    Args:
        outputs: name → kind.
        out: a file or a folder, as the format has it; None is standard output, where the format allows it.
        format: one of :data:`FORMATS`. None: by the suffix of ``out``; else everything in its natural form: images
            as PNG files in ``out`` (and the rest as ``predictions.csv`` beside them), anything else as CSV.

    Raises:
        UsageError: the format does not fit the outputs, ``out`` is missing, or a file exists.
    """
    images = [name for name, kind in outputs.items() if kind == "image"]
    rest = [name for name in outputs if name not in images]
    chosen = format or _by_suffix(out) or ("png" if images else "csv")
    if chosen == "npz":
        if out is None:
            raise UsageError("Arrays cannot be printed.", "Say where to write them: --out FILE.npz.")
        return Plan(npz=_file(out, "npz"))
    if chosen == "png":
        return _pictures(images, rest if format is None else [], out)
    if not rest:
        raise UsageError(
            f"The model yields images ({', '.join(images)}), which do not fit into {chosen}.",
            "Say --out DIR for PNG files, or --format npz --out FILE.npz.",
        )
    return Plan(table=chosen, table_path=None if out is None else _file(out, chosen))


def _pictures(images: list[str], rest: list[str], out: Path | None) -> Plan:
    if not images:
        raise UsageError("The model yields no images that could be written as PNG.", "Say --format csv, json or npz.")
    if out is None:
        raise UsageError(f"The model yields images ({', '.join(images)}).", "Say where to write them: --out DIR.")
    if not out.is_dir() and (out.exists() or out.suffix.lower() == ".png"):
        raise UsageError(f"{str(out)!r} is a file; PNG files need a folder.", "Name a folder: --out DIR.")
    if not rest:
        return Plan(png=out)
    return Plan(png=out, table="csv", table_path=_file(out / f"{_TABLE_NAME}.csv", "csv"))


def _by_suffix(out: Path | None) -> str | None:
    suffix = out.suffix.lower().removeprefix(".") if out is not None and not out.is_dir() else ""
    return suffix if suffix in ("csv", "json", "npz") else None


def _file(out: Path, format: str) -> Path:
    """``out``, or a file in it where it is a folder (exists as one, or has no suffix)."""
    path = out / f"{_TABLE_NAME}.{format}" if out.is_dir() or not out.suffix else out
    if path.exists():
        raise UsageError(f"{str(path)!r} exists.", "Choose another --out; nothing is overwritten.")
    return path
