"""The JSON files of a run, read with suspicion: they may be from a crash, a full disk or somebody's editor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dlkit.data.spec import DataSpec
from dlkit.errors import DataError
from dlkit.files import read_json
from dlkit.metrics import Metrics
from dlkit.opening import read_text


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


def read_distribution(path: Path) -> str:
    """Whose technique the last session trained, from the list of sessions; empty where that is not known.

    Raises:
        DataError: the file holds something else.
    """
    plugin = next((session.get("plugin") for session in read_sessions(path)[-1:]), None)
    found = plugin.get("distribution") if isinstance(plugin, dict) else None
    return found if isinstance(found, str) else ""


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file; a last line that was cut off by a crash is left out.

    Raises:
        DataError: a whole line is not a JSON object.
    """
    if not path.exists():
        return []
    rows = []
    try:
        lines = read_text(path).split("\n")
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
        return DataSpec.from_json(plain)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{str(path)!r} is not a data spec: {error!r}.") from error
