"""A CSV manifest: ``image_path,label,split``; paths relative to the manifest; label and split optional.

Other columns can be chosen as labels, several at once where they are numeric.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dlkit.data.files import FileImages
from dlkit.data.listing import SPLITS, Listing, number_classes, unassigned
from dlkit.data.origins import with_origins
from dlkit.data.targets import columns as numeric_columns
from dlkit.data.text import csv_meaning, shown
from dlkit.errors import DataError
from dlkit.options.suggest import did_you_mean

MANIFEST = "manifest.csv"
"""What a folder's own manifest is called."""
_LABEL = "label"
_FIXED = ("image_path", "split")
_ABOUT = ("origin", "source", "operations", "parameters", "seed", "run", "truncation", "mask")
"""Columns that dlkit writes for people; ``origin`` and ``source`` are read again where they say what dlkit does."""
_SPLIT_NAMES = {"train": 0, "val": 1, "valid": 1, "validation": 1, "test": 2}


def list_manifest(path: Path, label: tuple[str, ...] = (), *, needed: bool = True) -> Listing:
    """The images of a manifest.

    Args:
        path: the file.
        label: the columns that hold the labels, in any case; by default ``label`` where there is one.
        needed: a missing column of these is an error; otherwise the images are unlabelled.

    Raises:
        DataError: a missing column, a cell that is not numeric among several columns of labels, an image named twice,
            an unknown or missing split, with the row's number.
    """
    where = shown(path)
    rows = _rows(path)
    header = [csv_meaning(shown(name)) for name in next(rows, (0, []))[1]]
    columns = [name.strip().lower() for name in header]
    if not needed and not {name.strip().lower() for name in label} <= set(columns):
        label = ()
    chosen = _chosen(label, header, columns, where)
    records = [(row, _record(row, values, columns, where)) for row, values in rows]
    if not records:
        raise DataError(f"{where}: no images: there is no row below the header")
    _refuse_twice(records, where)
    paths = [path.parent / record["image_path"] for _, record in records]
    kept = (*_FIXED, *chosen, *(_ABOUT if "origin" in columns else ()))
    others = [shown(name) for name, column in zip(header, columns, strict=True) if column not in kept]
    listing = Listing(
        name=shown(path.resolve().parent.name if path.name == MANIFEST else path.stem) or "images",
        images=FileImages(paths, [record["image_path"] for _, record in records]),
        splits=_splits(records, where) if "split" in columns else unassigned(len(records)),
        notices=(f"Columns of {where} that were ignored: {', '.join(others)}.",) if others else (),
        **_labels(records, chosen, where),
    )
    if {"origin", "source"} <= set(columns) - set(chosen):
        added = zip(*((record["origin"], record["source"]) for _, record in records), strict=True)
        return with_origins(listing, *added)
    return listing


def folder_manifest(folder: Path) -> Path | None:
    """The manifest that a folder has: its ``manifest.csv``, where that names the column ``image_path``."""
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        _, header = next(_rows(path), (0, []))
    except DataError:  # somebody's file of that name
        return None
    return path if "image_path" in (name.strip().lower() for name in header) else None


def _chosen(label: tuple[str, ...], header: list[str], columns: list[str], where: str) -> dict[str, str]:
    """Columns of labels, in lower case and as the header writes them.

    Raises:
        DataError: a column is missing or there twice.
    """
    if "image_path" not in columns:
        found = ", ".join(map(shown, header)) or "nothing"
        raise DataError(
            f"{where}: the first row must name the columns image_path[,label][,split], found: {found}",
            did_you_mean(columns[0] if columns else "", (*_FIXED, _LABEL)),
        )
    wanted = [name.strip().lower() for name in label] or [_LABEL] * (_LABEL in columns)
    for name in wanted:
        if name not in columns or name in _FIXED:
            others = [column for column in columns if column not in _FIXED]
            raise DataError(f"{where}: there is no column {shown(name)!r} of labels; there are: {', '.join(others)}",
                            did_you_mean(name, others))  # fmt: skip
    doubled = [name for name in (*_FIXED, *wanted) if columns.count(name) > 1]
    if doubled:
        raise DataError(f"{where}: the column {shown(doubled[0])!r} is there twice")
    return {name: header[columns.index(name)].strip() for name in wanted}


def _labels(records: list[tuple[int, dict[str, str]]], chosen: dict[str, str], where: str) -> dict[str, Any]:
    """The fields of a listing that labels fill."""
    if len(chosen) > 1:
        texts = [[record[name] for name in chosen] for _, record in records]
        return numeric_columns(texts, list(chosen.values()), [row for row, _ in records], where)
    column = next(iter(chosen), "")
    labels, classes = number_classes([shown(record[column]) if record.get(column) else None for _, record in records])
    return {"labels": labels, "classes": classes, "columns": tuple(map(shown, chosen.values()))}


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields, blank lines left out."""
    try:
        with path.open(encoding="utf-8-sig", newline="", errors="surrogateescape") as stream:
            reader = csv.reader(stream, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True)
            for row in reader:
                if any(value.strip() for value in row):
                    yield reader.line_num, row
    except OSError as error:
        raise DataError(f"{shown(path)}: cannot be read: {error.strerror}") from error
    except csv.Error as error:
        raise DataError(f"{shown(path)}, row {reader.line_num}: {error}", "Expected comma-separated values.") from error


def _record(row: int, values: list[str], columns: list[str], where: str) -> dict[str, str]:
    if len(values) != len(columns):
        raise DataError(f"{where}, row {row}: {len(values)} fields, expected {len(columns)} ({', '.join(columns)})")
    record = {name: csv_meaning(value.strip()) for name, value in zip(columns, values, strict=True)}
    if not record["image_path"] or "\0" in record["image_path"]:
        raise DataError(f"{where}, row {row}: image_path is empty or not a path")
    return record


def _refuse_twice(records: list[tuple[int, dict[str, str]]], where: str) -> None:
    first: dict[str, int] = {}
    for row, record in records:
        image = record["image_path"]
        if image in first:
            raise DataError(f"{where}, row {row}: {shown(image)!r} is already in row {first[image]}", "Name it once.")
        first[image] = row


def _splits(records: list[tuple[int, dict[str, str]]], where: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    if not any(record["split"] for _, record in records):
        return unassigned(len(records))
    numbers = []
    for row, record in records:
        split = record["split"].lower()
        if split not in _SPLIT_NAMES:
            what = f"unknown split {shown(record['split'])!r}" if split else "no split, though other rows name one"
            raise DataError(f"{where}, row {row}: {what}; expected {', '.join(SPLITS)}", did_you_mean(split, SPLITS))
        numbers.append(_SPLIT_NAMES[split])
    return np.array(numbers, dtype=np.int64)
