"""The JSON files of a run, read with suspicion: they may be from a crash, a full disk or somebody's editor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

from dlkit.data.spec import DataSpec, Normalization, NormalizeMode, PixelType, ResizeMode, TargetKind
from dlkit.errors import DataError
from dlkit.files import read_json
from dlkit.metrics import Metrics


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is no file.

    Raises:
        DataError: the file holds something else.
    """
    plain = read_json(path) if path.is_file() else {}
    if not isinstance(plain, dict):
        raise DataError(f"{str(path)!r} holds {type(plain).__name__}, expected a JSON object.")
    return plain


def read_sessions(path: Path) -> list[dict[str, Any]]:
    """A JSON list of objects; empty where there is no file.

    Raises:
        DataError: the file holds something else.
    """
    plain = read_json(path) if path.is_file() else []
    if not isinstance(plain, list) or not all(isinstance(item, dict) for item in plain):
        raise DataError(f"{str(path)!r} is not a JSON list of objects.")
    return plain


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file; a last line that was cut off by a crash is left out.

    Raises:
        DataError: a whole line is not a JSON object.
    """
    if not path.exists():
        return []
    rows = []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise DataError(f"Cannot read {str(path)!r}: {error}.") from error
    for number, line in enumerate(lines[:-1], start=1):
        try:
            row = json.loads(line) if line else {}
        except (ValueError, RecursionError) as error:
            raise DataError(f"{str(path)!r}, line {number}: not JSON: {error}.") from error
        if not isinstance(row, dict):
            raise DataError(f"{str(path)!r}, line {number}: expected a JSON object, got {line[:80]!r}.")
        if line:
            rows.append(row)
    return rows


def read_figures(path: Path) -> Metrics:
    """The figures and tables of an evaluation, or of several.

    Raises:
        DataError: the file does not hold any.
    """
    plain = read_json(path)
    try:
        return Metrics.from_json(plain["metrics"], plain.get("tables", ()))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{str(path)!r} does not hold figures: {error!r}.", "`dlkit resume` writes it anew.") from error


def read_spec(path: Path) -> DataSpec:
    """The spec of a run's data.

    Raises:
        DataError: the file is missing or broken, or its values are impossible.
    """
    plain = read_json(path)
    try:
        spec = DataSpec.from_json(plain)
        _check(spec)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{str(path)!r} is not a data spec: {error!r}.") from error
    return spec


def _check(spec: DataSpec) -> None:
    """Raise ValueError where a value is of the wrong kind: what is built from it would fail far from here."""
    for name in ("channels", "height", "width"):
        value = getattr(spec, name)
        if type(value) is not int or value < 1:
            raise ValueError(f"{name} = {value!r}")
    for name in ("source", "name", "fingerprint"):
        if not isinstance(getattr(spec, name), str):
            raise TypeError(f"{name} = {getattr(spec, name)!r}")
    if spec.pixel_type not in get_args(PixelType) or spec.resize not in get_args(ResizeMode):
        raise ValueError(f"pixel_type = {spec.pixel_type!r}, resize = {spec.resize!r}")
    if spec.target not in get_args(TargetKind) or not all(isinstance(name, str) for name in spec.classes):
        raise ValueError(f"target = {spec.target!r}, classes = {spec.classes!r}")
    counts = [*spec.counts.values(), *(count for row in spec.class_counts.values() for count in row)]
    if not all(type(count) is int and count >= 0 for count in counts):
        raise ValueError(f"counts = {counts}")
    _check_normalization(spec.normalization, spec.shape)


def _check_normalization(normalization: Normalization, shape: tuple[int, int, int]) -> None:
    if normalization.mode not in get_args(NormalizeMode):
        raise ValueError(f"mode = {normalization.mode!r}")
    size = 1
    for own, images in zip(normalization.shape, shape, strict=True):
        if type(own) is not int or own not in (1, images):
            raise ValueError(f"normalization of shape {normalization.shape} for images of shape {shape}")
        size *= own
    if len(normalization.mean) != 4 * size or len(normalization.std) != 4 * size:
        raise ValueError(f"normalization holds other than {size} numbers")
