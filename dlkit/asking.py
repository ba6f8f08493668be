"""What people ask of a run that was told something of images: a class, labels, or numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlkit.capabilities import capabilities_of, who
from dlkit.errors import UsageError
from dlkit.options.suggest import did_you_mean

if TYPE_CHECKING:
    from dlkit.codes import Codes
    from dlkit.run import Run

_FEW = 20


def class_of(run: Run, text: str) -> int:
    """The class that people name by its name or its number.

    Raises:
        UsageError: there is none, or the run's technique takes none.
    """
    classes = run.spec.classes
    if "condition" not in capabilities_of(run) or not classes or run.spec.target != "classes":
        told = "condition" in capabilities_of(run) and bool(classes)
        hint = f"It was told {_few(classes)}: --with NAME=VALUE." if told else who("generate", "condition")
        raise UsageError(f"{run.name} cannot be told which class to generate.", hint)
    if text in classes:
        return classes.index(text)
    if text.isdecimal() and int(text) < len(classes):
        return int(text)
    raise UsageError(f"There is no class {text!r}; there are {_few(classes)}.", did_you_mean(text, classes))


def values_of(run: Run, texts: Mapping[str, str]) -> dict[int, float]:
    """The places of labels or numbers that people name, and what they are to be.

    Args:
        run: of a technique that was told them, unless nothing is asked for.
        texts: name → a number; for labels 1 where an image is to have it, else 0.

    Raises:
        UsageError: there is none of that name, the value does not fit, or the technique was told no such thing.
    """
    names, target = run.spec.classes, run.spec.target
    if texts and ("condition" not in capabilities_of(run) or target == "classes"):
        hint = "Its classes are asked for with --class." if target == "classes" else who("generate", "condition")
        raise UsageError(f"{run.name} was told no labels or numbers that could be asked for.", hint)
    found = {}
    for name, text in texts.items():
        if name not in names:
            raise UsageError(
                f"There is no {name!r} that could be asked for; there are {_few(names)}.", did_you_mean(name, names)
            )
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or (target == "multi-label" and value not in (0, 1)):
            expected = "0 or 1" if target == "multi-label" else "a number"
            raise UsageError(f"{name}={text}: expected {expected}.")
        found[names.index(name)] = value
    return found


def with_values(labels: Tensor, values: Mapping[int, float]) -> Tensor:
    """Labels or numbers ``(n, K)``, of which those in these places are the same for all."""
    labels = labels.clone()
    for place, value in values.items():
        labels[:, place] = value
    return labels


def labels_for(run: Run, codes: Codes | None, label: int | None, values: Mapping[int, float]) -> Tensor | None:
    """What a run that is told something makes of codes: what is asked for, else what their file says.

    Args:
        run: any run.
        codes: of a file, or None.
        label: a class, or None.
        values: place of a label or number → what it is to be, see :func:`values_of`.

    Returns:
        ``(1,)`` or ``(1, K)`` for all codes, or as many as there are codes; None where nothing is said.

    Raises:
        UsageError: the file's labels are none that the run was told, or not all that it must be told is said.
    """
    if label is not None:
        return torch.tensor([label])
    told = None
    if codes is not None and codes.labels is not None and {"draw", "condition"} <= capabilities_of(run):
        told = _labels_of(run, codes.labels)
    if not values:
        return told
    if told is None:
        silent = [name for place, name in enumerate(run.spec.classes) if place not in values]
        if silent:
            raise UsageError(
                f"Nothing says what {_few(silent)} {'is' if len(silent) == 1 else 'are'} to be.",
                "Add --with NAME=VALUE for each, or give a codes.npz of `dlkit generate`, which tells.",
            )
        told = torch.zeros(1, len(run.spec.classes))
    return with_values(told, values)


def _labels_of(run: Run, found: NDArray[Any]) -> Tensor:
    """The labels of a file of codes."""
    count = len(run.spec.classes)
    if run.spec.target == "classes":
        labels = torch.from_numpy(found.astype(np.int64))
        known = labels.ndim == 1 and bool(((labels >= 0) & (labels < count)).all())
    else:
        labels = torch.from_numpy(found.astype(np.float32))
        known = labels.ndim == 2 and labels.shape[1] == count and bool(labels.isfinite().all())
    if not known:
        raise UsageError(f"The file's labels are not those of {run.name}, which was told {count}.", how_to_ask(run))
    return labels


def how_to_ask(run: Run) -> str:
    """A hint."""
    if run.spec.target == "classes":
        return "Name a class with --class, or give a codes.npz of `dlkit generate`, which tells."
    return (
        f"Say what {_few(run.spec.classes)} are to be with --with NAME=VALUE, or give a codes.npz of `dlkit generate`, "
        "which tells."
    )


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_FEW]) + (", …" if len(names) > _FEW else "")
