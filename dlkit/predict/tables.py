"""Predictions as rows: CSV for people and spreadsheets, JSON for programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from dlkit.data.text import csv_text
from dlkit.errors import DlkitError
from dlkit.predict.predictors import Arrays
from dlkit.report.figures import clean
from dlkit.technique import OutputKind

Floats = npt.NDArray[np.floating[Any]]


class Rows:
    """Turns batches into one row per image; of images among the outputs, the files that they went to.

    Args:
        outputs: name → kind.
        classes: names of classes, labels or numeric columns; empty where there are none, then they are called by
            their number.
        top_k: how many of the most probable classes a row names; fewer where there are fewer.
        saved: image output → its files' names for the present batch; empty where no pictures are written.
    """

    def __init__(
        self,
        outputs: Mapping[str, OutputKind],
        classes: Sequence[str],
        top_k: int,
        saved: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._saved = {} if saved is None else saved
        self.outputs = {name: kind for name, kind in outputs.items() if kind != "image"}
        self._classes = [clean(name) for name in classes]
        self._top_k = top_k
        self._several = list(self.outputs.values()).count("probabilities") > 1

    def rows(self, paths: Sequence[Path], arrays: Arrays) -> Iterator[dict[str, Any]]:
        """``file``, then for each output a list of ``{"class", "probability"}``, best first; a number for each name of
        a label or a numeric column; or a list of numbers.

        Raises:
            DlkitError: an output has not the shape that its kind demands.
        """
        columns = {name: list(self._values(name, kind, arrays[name])) for name, kind in self.outputs.items()}
        for number, path in enumerate(paths):
            pictures = {name: clean(files[number]) for name, files in self._saved.items()}
            yield {"file": clean(path), **pictures, **{name: column[number] for name, column in columns.items()}}

    def cells(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row, flat: column name → cell."""
        flat: dict[str, Any] = {name: csv_text(row[name]) for name in ("file", *self._saved)}
        for name, kind in self.outputs.items():
            values = row[name]
            if kind == "probabilities":
                prefix = f"{name}_" if self._several else ""
                for rank, best in enumerate(values, start=1):
                    suffix = "" if rank == 1 else f"_{rank}"
                    flat[f"{prefix}class{suffix}"] = csv_text(best["class"])
                    flat[f"{prefix}probability{suffix}"] = best["probability"]
            elif isinstance(values, dict):
                for label, value in values.items():
                    column = csv_text(label)
                    flat[f"{name}_{column}" if column in flat else column] = value
            elif len(values) == 1:
                flat[name] = values[0]
            else:
                flat |= {f"{name}_{index}": value for index, value in enumerate(values)}
        return flat

    def _values(self, name: str, kind: OutputKind, array: Floats) -> Iterator[Any]:
        if array.ndim != 2:
            raise DlkitError(f"Output {name!r} is a {kind}, which should be (B, K), not {array.shape}.")
        if kind == "probabilities":
            yield from self._best(name, array)
        elif kind in ("scores", "numbers"):
            names = self._names(name, kind, array)
            yield from (dict(zip(names, _numbers(row), strict=True)) for row in array)
        else:
            yield from (_numbers(row) for row in array)

    def _names(self, name: str, kind: OutputKind, array: Floats) -> list[str]:
        names = self._classes or [str(index) for index in range(array.shape[1])]
        if len(names) != array.shape[1]:
            raise DlkitError(f"Output {name!r} has {array.shape[1]} {kind} for {len(names)} classes.")
        return names

    def _best(self, name: str, array: Floats) -> Iterator[list[Any]]:
        names = self._names(name, "probabilities", array)
        # Stable, so that of equal ones the first class comes first, as argmax has it.
        order = np.argsort(-array, axis=1, kind="stable")[:, : self._top_k]
        for row, best in zip(array, order, strict=True):
            values = _numbers(row[best])
            yield [{"class": names[i], "probability": value} for i, value in zip(best, values, strict=True)]


def _numbers(row: Floats) -> list[float]:
    # The shortest decimals that give the same float32 again: 0.1, not 0.10000000149011612.
    return [float(text) for text in row.astype(np.float32).astype(str)]


class CsvTable:
    """Writes rows as CSV, the header first."""

    def __init__(self, stream: TextIO, rows: Rows) -> None:
        self._rows = rows
        self._writer = csv.writer(stream, lineterminator="\n")
        self._columns: list[str] = []

    def write(self, paths: Sequence[Path], arrays: Arrays) -> None:
        """Add a batch."""
        for row in self._rows.rows(paths, arrays):
            cells = self._rows.cells(row)
            if not self._columns:
                self._columns = list(cells)
                self._writer.writerow(self._columns)
            self._writer.writerow(cells.values())

    def end(self) -> None:
        """Nothing more is needed."""


class JsonTable:
    """Writes rows as one JSON array, an object a line."""

    def __init__(self, stream: TextIO, rows: Rows) -> None:
        self._rows = rows
        self._stream = stream
        self._lead = "[\n"

    def write(self, paths: Sequence[Path], arrays: Arrays) -> None:
        """Add a batch."""
        for row in self._rows.rows(paths, arrays):
            self._stream.write(self._lead + json.dumps(row, allow_nan=False))
            self._lead = ",\n"

    def end(self) -> None:
        """Close the array."""
        self._stream.write("[]\n" if self._lead == "[\n" else "\n]\n")
