"""What a data set is, in figures and in a picture: `dlkit data`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dlkit.data.data import Duplicate, ImageData, Split
from dlkit.data.listing import SPLITS, UNLABELLED
from dlkit.data.spec import LABEL_WORDS, DataSpec
from dlkit.data.spread import evenly
from dlkit.data.text import enumerated
from dlkit.display import Display
from dlkit.files import atomic_path

_COLUMNS, _ROWS = 12, 10
_MOST_CLASSES = 30


def facts(data: ImageData) -> dict[str, Any]:
    """All that `dlkit data` tells, as plain JSON.

    ``mean`` and ``std`` are those of the train split's channels on the scale [0, 1], ``imbalance`` the ratio of the
    largest class to the smallest in it (None where there is an empty one, or no classes). ``classes`` counts images
    per class, or per label; ``numbers`` has the train split's figures of each numeric column.
    """
    spec = data.spec
    low_height, high_height, low_width, high_width = data.original_sizes
    return {
        "name": spec.name,
        "source": spec.source,
        "images": sum(spec.counts.values()),
        "counts": dict(spec.counts),
        "target": spec.target,
        "classes": _class_rows(spec),
        "numbers": _number_rows(data),
        "unlabelled": {split.name: _unlabelled(split) for split in data.splits},
        "imbalance": _imbalance(spec),
        "shape": list(spec.shape),
        "pixel_type": spec.pixel_type,
        "original_heights": [low_height, high_height],
        "original_widths": [low_width, high_width],
        "mean": _channel_values(spec, spec.normalization.mean),
        "std": _channel_values(spec, spec.normalization.std),
        "fingerprint": spec.fingerprint,
        **problems(data),
    }


def problems(data: ImageData) -> dict[str, Any]:
    """What a person should know about the data, as plain JSON: skipped files, duplicates across splits, notices."""
    return {
        "bad_files": [{"path": bad.path, "reason": bad.reason} for bad in data.bad_files],
        "duplicates": [_pair(data, pair) for pair in data.duplicates],
        "notices": list(data.notices),
    }


def _pair(data: ImageData, pair: Duplicate) -> dict[str, Any]:
    """Two equal images as (split, index), and the names of their files where they have any."""
    splits = {split.name: split.files for split in data.splits}
    named = {f"{which}_file": files[index] for which, (split, index) in (("first", pair.first), ("second", pair.second))
             if (files := splits[split]) is not None}  # fmt: skip
    return {"first": list(pair.first), "second": list(pair.second), **named}


def _class_rows(spec: DataSpec) -> list[dict[str, Any]]:
    return [
        {"class": name} | {split: spec.class_counts[split][number] for split in SPLITS}
        for number, name in enumerate(spec.classes if spec.target != "number" else ())
    ]


def _number_rows(data: ImageData) -> list[dict[str, Any]]:
    targets = data.train.targets
    if data.spec.target != "number" or targets is None:
        return []
    rows = []
    for name, column in zip(data.spec.classes, targets.T, strict=True):
        known = column[~column.isnan()].double()
        figures = {"min": known.min(), "mean": known.mean(), "max": known.max(), "std": known.std(correction=0)} if (
            len(known)) else {}  # fmt: skip
        rows.append({"column": name, "images": len(known), **{key: float(value) for key, value in figures.items()}})
    return rows


def _unlabelled(split: Split) -> int:
    if split.targets is not None:
        return int(split.targets.isnan().all(1).sum())
    return len(split) if split.labels is None else int((split.labels == UNLABELLED).sum())


def _imbalance(spec: DataSpec) -> float | None:
    if spec.target != "classes":
        return None
    counts = spec.class_counts.get("train", ())
    smallest = min(counts, default=0)
    return max(counts) / smallest if smallest else None


def _channel_values(spec: DataSpec, values: bytes) -> list[float]:
    return [] if spec.normalization.mode != "channel" else [float(value) for value in np.frombuffer(values, "<f4")]


def show(found: dict[str, Any], display: Display) -> None:
    """Print the facts, a table of the classes, then what needs attention."""
    display.text("\n".join(f"{name:<15}{value}" for name, value in _summary(found).items() if value))
    rows = found["classes"]
    display.table(rows[:_MOST_CLASSES], title=f"Images per {'class' if found['target'] == 'classes' else 'label'}")
    display.table(found["numbers"], title="Numbers (train)")
    if len(rows) > _MOST_CLASSES:
        display.text(f"… and {len(rows) - _MOST_CLASSES} more classes (all with --json)")
    if found["bad_files"]:
        lines = [f"{bad['path']}: {bad['reason']}" for bad in found["bad_files"]]
        display.text(f"Images that cannot be read: {len(lines):,}\n{enumerated(lines)}")
    if found["duplicates"]:
        pairs = found["duplicates"]
        lines = [f"{_place(pair, 'second')} is {_place(pair, 'first')}" for pair in pairs]
        display.text(f"Duplicates across splits: {len(lines):,}\n{enumerated(lines, 5)}")
    for notice in found["notices"]:
        display.info(notice)


def _place(pair: dict[str, Any], which: str) -> str:
    split, index = pair[which]
    return f"{pair[f'{which}_file']} ({split})" if f"{which}_file" in pair else f"{split} {index}"


def _summary(found: dict[str, Any]) -> dict[str, str]:
    channels, height, width = found["shape"]
    named = len(found["classes"]) + len(found["numbers"])
    labelled, unlabelled = (_by_split(found, which) for which in (False, True))
    return {
        "name": found["name"],
        "source": found["source"],
        "images": f"{found['images']:,} ({', '.join(f'{name} {count:,}' for name, count in found['counts'].items())})",
        LABEL_WORDS[found["target"]]: str(named) if named else "none (no labels)",
        "labelled": labelled if named and unlabelled else "",
        "unlabelled": unlabelled if named else "",
        "imbalance": f"{found['imbalance']:.2f} (largest class / smallest, train)" if found["imbalance"] else "",
        "original size": f"{_range(found['original_heights'])} high, {_range(found['original_widths'])} wide",
        "read as": f"{height}x{width}, {'grey' if channels == 1 else 'RGB'}, {found['pixel_type']}",
        "mean": ", ".join(f"{value:.4f}" for value in found["mean"]),
        "std": ", ".join(f"{value:.4f}" for value in found["std"]),
        "fingerprint": found["fingerprint"],
    }


def _by_split(found: dict[str, Any], unlabelled: bool) -> str:
    """``"110 (train 90, val 20)"`` of the images without a label, or of the others; empty where there is none."""
    without = found["unlabelled"]
    counts = without if unlabelled else {name: count - without[name] for name, count in found["counts"].items()}
    total = sum(counts.values())
    return f"{total:,} ({', '.join(f'{name} {count:,}' for name, count in counts.items() if count)})" if total else ""


def _range(values: list[int]) -> str:
    return str(values[0]) if values[0] == values[1] else f"{values[0]} to {values[1]}"


def write_samples(data: ImageData, target: Path) -> None:
    """A grid of training images as PNG: a row for each of the first ten classes, or rows in order.

    Raises:
        DlkitError: the file cannot be written.
    """
    from dlkit.report.picture import png
    from dlkit.report.plots import samples

    split = data.train if len(data.train) else data.held_out
    chosen = _choose(split)
    labels = None if split.labels is None else split.labels[chosen]
    with atomic_path(target) as temporary:
        temporary.write_bytes(png(samples(split.pixels(chosen), labels, data.spec.classes, _COLUMNS)))


def _choose(split: Split) -> Tensor:
    """Images spread evenly over the split, or over each class."""
    if split.labels is None or not bool((split.labels >= 0).any()):
        return _spread(torch.arange(len(split)), _COLUMNS * 6)
    present = torch.unique(split.labels[split.labels >= 0])[:_ROWS]
    return torch.cat([_spread(torch.nonzero(split.labels == label)[:, 0], _COLUMNS) for label in present])


def _spread(indices: Tensor, most: int) -> Tensor:
    count = min(most, len(indices))
    return indices[evenly(len(indices), count)]
