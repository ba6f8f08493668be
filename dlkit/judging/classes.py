"""Generated images of each class beside the genuine ones of it: how far they are, and how many of these they reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from dlkit.judging.conditional import made
from dlkit.judging.distances import NEIGHBOURS, Values, frechet, overlap
from dlkit.judging.features import features
from dlkit.judging.options import JudgeOptions
from dlkit.judging.verdict import FLOOR, Generate
from dlkit.metrics import Metric, Metrics, Row, Table

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.runtime import Runtime

MOST_CLASSES, MOST, FEWEST = 100, 200, 2 * NEIGHBOURS
"""Classes that are looked at, the largest ones; images of each; classes with fewer in either half are left out."""


@dataclass(frozen=True)
class _Class:
    """Figures of one class, and what other genuine images of it score."""

    label: int
    images: int
    fid: float
    coverage: float
    fid_floor: float
    coverage_floor: float


def judge_classes(generate: Generate, data: ImageData, runtime: Runtime, options: JudgeOptions) -> Metrics:
    """FID within classes and the least coverage, and both for each class.

    Half of a class's training images are what is compared with, the other half is the floor, as in ``judge``; all sets
    of a class are of the same size.

    Args:
        generate: ``generate(count, generator, labels) → pixels``.
        data: with one class per image.
        runtime: where.
        options: how many images are judged, and by which features.
    """
    if data.train.labels is None or data.spec.target != "classes":
        return Metrics(())
    found = _classes(generate, data.train.labels, data, runtime, options)
    if not found:
        needed = f"No class has {2 * FEWEST} training images."
        return Metrics((), notices=(f"Generated images are not compared class by class. {needed}",))
    numbers = [each.images for each in found]
    between = f"{min(numbers):,} to {max(numbers):,}" if len(set(numbers)) > 1 else f"{numbers[0]:,}"
    note = f"{len(found)} of {len(data.spec.classes)} classes, {between} images of each"
    rows = (
        Metric(
            name="class_fid", label="FID within classes", value=float(np.mean([each.fid for each in found])),
            split="train", better="lower", note=note,
            baselines={FLOOR: float(np.mean([each.fid_floor for each in found]))}, bounds=(FLOOR,),
        ),
        Metric(
            name="class_coverage", label="least coverage of a class", value=min(each.coverage for each in found),
            split="train", better="higher", bounds=(FLOOR,),
            baselines={FLOOR: min(each.coverage_floor for each in found)},
        ),
    )  # fmt: skip
    lines = tuple(_line(each, data.spec.classes[each.label]) for each in found)
    note = f"Floor: what {FLOOR} of the class score."
    table = Table(name="generated_classes", title="Generated images by class", rows=lines, note=note)
    return Metrics(rows, (table,))


def _line(found: _Class, name: str) -> Row:
    return {
        "class": name, "images": found.images, "FID": found.fid, "FID, floor": found.fid_floor,
        "coverage": found.coverage, "coverage, floor": found.coverage_floor,
    }  # fmt: skip


def _classes(
    generate: Generate, labels: Tensor, data: ImageData, runtime: Runtime, options: JudgeOptions
) -> list[_Class]:
    counts = torch.bincount(labels[labels >= 0], minlength=len(data.spec.classes))
    largest = counts.argsort(descending=True, stable=True)[:MOST_CLASSES].sort().values.tolist()
    most = max(FEWEST, min(MOST, options.judged // len(largest)))
    sizes = {label: min(most, int(counts[label]) // 2) for label in largest}
    sizes = {label: size for label, size in sizes.items() if size >= FEWEST}
    if not sizes:
        return []
    by = features(options, data, runtime)

    def of(pixels: Tensor) -> Values:
        with runtime.inference():
            parts = [by.of(part.to(runtime.device)).float().cpu() for part in torch.split(pixels, MOST)]
        return torch.cat(parts).double().numpy()

    result = []
    for label, size in sizes.items():
        places = (labels == label).nonzero()[:, 0]
        order = torch.randperm(len(places), generator=runtime.generator("class", label, device="cpu"))[: 2 * size]
        genuine, others = of(data.train.pixels(places[order])).reshape(2, size, -1)
        asked = torch.full((size,), label)
        ours = of(made(generate, asked, data, runtime, f"class {label}").pixels())
        result.append(_Class(
            label, size, frechet(genuine, ours), overlap(genuine, ours).coverage,
            frechet(genuine, others), overlap(genuine, others).coverage,
        ))  # fmt: skip
    return result
