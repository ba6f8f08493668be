"""What labels say: one class per image, several labels per image, or numbers.

Sources list labels as classes, by name, or as targets where their form leaves no doubt (arrays with several columns,
fractions). From there :func:`interpret` gets to what the user wants, or guesses where labels are free text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dlkit.data.arrays import label_array
from dlkit.data.listing import UNLABELLED, Floats, Ints, Listing
from dlkit.data.spec import LABEL_SAYS, TargetKind
from dlkit.data.text import natural, shown
from dlkit.errors import DataError

Wanted = Literal["auto", "classes", "multi-label", "number"]
SEPARATORS = ";|"
BINS = 10
"""Numbers are split in so many equal parts from small to large, each of which gives its share to val and test."""


def interpret(listing: Listing, wanted: Wanted) -> Listing:
    """The labels as ``wanted``; ``auto``: as they are listed, or as free text looks, which is told.

    Raises:
        DataError: the labels cannot be understood like that.
    """
    target = _guess(listing) if wanted == "auto" else wanted
    if target == listing.target or (listing.labels is None and listing.targets is None):
        found = listing
    elif listing.target == "classes":
        found = _numbers(listing) if target == "number" else _several(listing)
    else:
        found = _classes(listing) if target == "classes" else _other(listing, target)
    if wanted != "auto" or found.target == "classes":
        return found
    says = LABEL_SAYS[found.target]
    notice = f"The labels of {listing.name} are taken as {says} ({_few(found.classes)}): --target chooses."
    return replace(found, notices=(*found.notices, notice))


def _guess(listing: Listing) -> TargetKind:
    if not listing.columns or listing.target != "classes":
        return listing.target
    if any(mark in name for name in listing.classes for mark in SEPARATORS):
        return "multi-label"
    values = [_number(name) for name in listing.classes]
    fractions = any(value is not None and not value.is_integer() for value in values)
    return "number" if fractions and None not in values else "classes"


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _numbers(listing: Listing) -> Listing:
    values = [_number(name) for name in listing.classes]
    if None in values:
        wrong = listing.classes[values.index(None)]
        raise DataError(f"{listing.name}: the label {wrong!r} is not a number.", "Leave out --target number.")
    return _by_class(listing, np.array([values], dtype=np.float64).T, "number", listing.columns or ("label",))


def _several(listing: Listing) -> Listing:
    parts = [_split(name) for name in listing.classes]
    names = tuple(sorted({part for several in parts for part in several}, key=natural))
    return _by_class(
        listing, np.array([[name in several for name in names] for several in parts]), "multi-label", names
    )


def _split(name: str) -> set[str]:
    """``"cat; dog"`` → cat and dog; a lone separator: none of the labels."""
    for mark in SEPARATORS[1:]:
        name = name.replace(mark, SEPARATORS[0])
    return {part.strip() for part in name.split(SEPARATORS[0])} - {""}


def _by_class(listing: Listing, rows: NDArray[Any], target: TargetKind, names: tuple[str, ...]) -> Listing:
    """Each image gets the row of its class, an unlabelled one NaN."""
    assert listing.labels is not None  # noqa: S101 - interpret() has looked
    with_unknown = np.vstack([rows.astype(np.float32), np.full((1, rows.shape[1]), np.nan, dtype=np.float32)])
    targets = with_unknown[listing.labels]  # -1 is the last row
    return replace(listing, labels=None, targets=targets, target=target, classes=names)


def _classes(listing: Listing) -> Listing:
    targets = listing.targets
    assert targets is not None  # noqa: S101
    known = ~np.isnan(targets).any(1)
    one_hot = listing.target == "multi-label" and bool((targets[known].sum(1) == 1).all())
    if not one_hot:
        raise DataError(
            f"{listing.name}: the labels are {LABEL_SAYS[listing.target]}, not {LABEL_SAYS['classes']}.",
            f"Use --target {listing.target}.",
        )
    labels = np.where(known, np.nan_to_num(targets).argmax(1), UNLABELLED)
    return replace(listing, labels=labels, targets=None, target="classes")


def _other(listing: Listing, target: TargetKind) -> Listing:
    targets = listing.targets
    assert targets is not None  # noqa: S101
    if target == "multi-label" and not _binary(targets):
        raise DataError(f"{listing.name}: several labels per image are 0 or 1; other numbers are there.",
                        "Use --target number.")  # fmt: skip
    return replace(listing, target=target)


def _binary(targets: Floats) -> bool:
    return bool(np.isin(targets[~np.isnan(targets)], (0, 1)).all())


def columns(texts: Sequence[Sequence[str]], names: Sequence[str], rows: Sequence[int], where: str) -> dict[str, Any]:
    """The numeric columns of a manifest: ``targets``, ``target`` and ``classes`` of a listing.

    Args:
        texts: the cells, by row; an empty one is unknown.
        names: of the columns.
        rows: line numbers.
        where: the file, for messages.

    Raises:
        DataError: a cell is not a number.
    """
    targets = np.full((len(texts), len(names)), np.nan, dtype=np.float32)
    for index, cells in enumerate(texts):
        for column, text in enumerate(cells):
            value = _number(text) if text else math.nan
            if value is None:
                raise DataError(
                    f"{where}, row {rows[index]}: {shown(names[column])} is {shown(text)!r}, expected a number",
                    "Several --label columns are numbers, or 0 and 1 for several labels per image; names beside them "
                    "are a column of 0 and 1 for each.",
                )
            targets[index, column] = value
    called = tuple(map(shown, names))
    target: TargetKind = "multi-label" if _binary(targets) else "number"
    return {"targets": targets, "target": target, "classes": called, "columns": called}


def array_labels(array: NDArray[Any], count: int, classes: tuple[str, ...] | None, where: str) -> dict[str, Any]:
    """Labels from an array: fields of a listing.

    Args:
        array: ``(N,)`` or ``(N, 1)`` class numbers or names; ``(N, K)`` 0 and 1: several labels per image; fractions,
            or ``(N, K)`` of other values: numbers (NaN: unknown).
        count: N.
        classes: names of the classes, labels or columns.
        where: what to call it in messages.

    Raises:
        DataError: another shape or type, or a number without a name.
    """
    several = array.ndim == 2 and array.shape[1] > 1 and array.dtype.kind in "buif"
    fractions = array.dtype.kind == "f" and array.ndim in (1, 2) and not np.all(array == np.rint(array))
    if not (several or fractions):
        labels, names = label_array(array, count, classes, where)
        return {"labels": labels, "classes": names}
    if len(array) != count:
        raise DataError(f"{where}: {len(array):,} labels for {count:,} images")
    targets = array.astype(np.float32).reshape(count, -1)
    if np.isinf(targets).any():
        raise DataError(f"{where}: infinite numbers")
    width = targets.shape[1]
    names = classes or (("label",) if width == 1 else tuple(str(index) for index in range(width)))
    if len(names) != width:
        raise DataError(f"{where}: {width} columns, but `classes` names {len(names)}")
    return {"targets": targets, "target": "multi-label" if _binary(targets) else "number", "classes": names}


def known_images(targets: Floats) -> NDArray[np.bool_]:
    """``(N,)``: which images are labelled, at least in part."""
    return np.asarray((~np.isnan(targets)).any(1))


def strata(listing: Listing) -> Ints | None:
    """What splits are stratified by, ``(N,)``, -1 for unlabelled images; None where nothing is labelled.

    The class; of several labels an image's rarest one; of numbers the part (of :data:`BINS`) of the first column.
    """
    if listing.targets is None:
        return listing.labels
    known = known_images(listing.targets)
    groups = np.full(len(known), UNLABELLED, dtype=np.int64)
    values = listing.targets[known]
    if listing.target == "multi-label":
        present = np.nan_to_num(values) > 0
        sizes = np.where(present, present.sum(0), np.inf)
        groups[known] = np.where(present.any(1), sizes.argmin(1), values.shape[1])
    else:
        ranks = np.argsort(np.argsort(values[:, 0], kind="stable"), kind="stable")
        groups[known] = ranks * min(BINS, max(1, len(values) // 5)) // max(1, len(values))
    return groups


def match_targets(listing: Listing, names: tuple[str, ...], *, drop_unknown: bool) -> Listing:
    """The columns of the targets in the order of ``names``, those of a trained run.

    Labels that the listing lacks are 0. Its one numeric column is the run's one, whatever their names.

    Raises:
        DataError: labels (that an image has) or numeric columns that the run does not know or the listing lacks.
    """
    targets = listing.targets
    assert targets is not None  # noqa: S101
    if listing.target == "number" and len(names) == len(listing.classes) == 1:
        return replace(listing, classes=names)
    place = {name: index for index, name in enumerate(listing.classes)}
    unknown = [n for n in listing.classes if n not in names and (np.nan_to_num(targets[:, place[n]]) != 0).any()]
    missing = [name for name in names if name not in place]
    number = listing.target == "number"
    if (unknown and not drop_unknown) or (number and missing):
        wrong = f"lacks {_few(missing)}" if number and missing else f"has {_few(unknown)}, which the run does not know"
        raise DataError(f"{listing.name}: {wrong}.\nThe run knows {_few(names)}.", "Name them as in training.")
    nothing = np.where(known_images(targets)[:, None], 0.0, np.nan).astype(np.float32)
    found = [targets[:, [place[name]]] if name in place else nothing for name in names]
    notices = listing.notices
    if unknown:
        notices += (f"The run does not know {_few(unknown)}: left out.",)
    return replace(listing, targets=np.hstack(found), classes=names, notices=notices)


def _few(names: Sequence[str]) -> str:
    text = ", ".join(repr(name) for name in names[:20])
    return f"{text} and {len(names) - 20} more" if len(names) > 20 else text
