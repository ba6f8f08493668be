"""What to look at after learning from labels, whatever the labels say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlkit.report import Picture, plots
from dlkit.report.figures import number
from dlkit.supervised.calibration import expected_calibration_error, reliability
from dlkit.supervised.classification import Predicted, predicted
from dlkit.supervised.multilabel import label_table, scored
from dlkit.supervised.pixels import small_pixels
from dlkit.supervised.planes import in_the_plane
from dlkit.supervised.regression import Numbers, numbers, r_squared

if TYPE_CHECKING:
    from dlkit.data import ImageData

MISTAKES = 12
POINTS = 200
"""Images in the pictures of feature space: t-SNE of two such sets takes half a second."""
PANELS = 6

Features = Tensor | NDArray[np.float32]


def supervised_pictures(
    outputs: Tensor,
    data: ImageData,
    *,
    features_after: Features | None = None,
    features_before: Features | None = None,
    titles: tuple[str, str] = ("before", "after"),
    saliency: Picture | None = None,
    seed: int = 0,
) -> Iterator[Picture]:
    """Pictures of what a model says about ``data.held_out``; those without a label are left out.

    Classes: confusion matrix, most confident mistakes, reliability diagram. Several labels: average precision of each.
    Numbers: predicted over true. All: the images' features in the plane.

    Args:
        outputs: as for :func:`dlkit.supervised.metrics.supervised_metrics`.
        data: what the model was tested on.
        features_after: ``(N, D)``, what the model makes of the images of ``data.held_out``; if None, no feature space.
        features_before: ``(N, D)``, the same before training; raw pixels if None.
        titles: of the two pictures of feature space; the first says "raw pixels" where these are shown.
        saliency: shown after the mistakes; see :func:`dlkit.supervised.saliency.saliency_picture`.
        seed: of the choice of points and of t-SNE.

    Raises:
        ValueError: outputs that do not fit the data.
        DataError: an image cannot be read any more.
    """
    if data.spec.target == "classes":
        yield from _of_classes(outputs, data)
    elif data.spec.target == "multi-label":
        yield from _of_labels(outputs, data)
    else:
        yield from _of_numbers(outputs, data)
    if saliency is not None:
        yield saliency
    if features_after is not None:
        sets = {titles[1]: features_after}
        if features_before is not None:
            sets = {titles[0]: features_before, **sets}
        yield from _feature_space(sets, data, seed)


def _of_classes(outputs: Tensor, data: ImageData) -> Iterator[Picture]:
    found = predicted(outputs, data)
    if found is None:
        return
    names = data.spec.classes
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(counts, (found.labels, found.answers), 1)
    caption = (
        f"{len(found.labels):,} {found.split.name} images: a row for each true class, a column for each answer; "
        "colours are shares of the row, blue where the answer is right, red where it is wrong."
    )
    yield Picture("confusion", "Confusion matrix", caption, plots.confusion(counts, names))
    yield from _mistakes(found, names)
    bins = reliability(found.confidence, found.correct)
    error = float(expected_calibration_error(np.ones((1, len(found.labels))), found.confidence, found.correct)[0])
    caption = "Right as often as it says where bars reach the line; below it the model is too sure of itself."
    figure = plots.reliability(bins.count, bins.confidence, bins.accuracy, error)
    yield Picture("reliability", "Calibration", caption, figure)


def _mistakes(found: Predicted, names: tuple[str, ...]) -> Iterator[Picture]:
    wrong = np.flatnonzero(~found.correct)
    if len(wrong) == 0:
        return
    worst = wrong[np.argsort(-found.confidence[wrong], kind="stable")][:MISTAKES]
    images = found.split.pixels(torch.from_numpy(found.rows[worst]))
    captions = [
        f"{plots.short(names[found.answers[i]], 16)} {found.confidence[i]:.2f}\n"
        f"is {plots.short(names[found.labels[i]], 18)}\n{_file(found, i)}"
        for i in worst
    ]
    caption = f"The {len(worst)} wrong answers that it was surest of, of {len(wrong):,}, with the answer's probability."
    yield Picture("mistakes", "Most confident mistakes", caption, plots.captioned(list(images), captions))


def _file(found: Predicted, index: int) -> str:
    row = int(found.rows[index])
    files = found.split.files
    return f"image {row}" if files is None else plots.short(PurePath(files[row]).name, 18, end=True)


def _of_labels(outputs: Tensor, data: ImageData) -> Iterator[Picture]:
    found = scored(outputs, data)
    if found is None:
        return
    (table,) = label_table(outputs, data)
    rows = [row for row in table.rows if row["images"]]
    values = {str(row["label"]): float(row["average precision"]) for row in rows}
    marks = {str(row["label"]): float(row["images"]) / len(found.truth) for row in rows}
    caption = f"How well {len(found.truth):,} {data.held_out.name} images are ranked by each label's probability."
    figure = plots.ranked_bars(values, marks, "average precision", "share of images with the label: a blind guess")
    yield Picture("labels", "Average precision of each label", caption, figure)


def _of_numbers(outputs: Tensor, data: ImageData) -> Iterator[Picture]:
    found = {name: numbers(outputs, data, column) for column, name in enumerate(data.spec.classes[:PANELS])}
    panels = {name: (each.truth, each.said, _r_squared(each)) for name, each in found.items() if each is not None}
    if panels:
        caption = f"Each point is one of the {data.held_out.name} images; on the line, both numbers are equal."
        yield Picture("numbers", "Predicted and true numbers", caption, plots.true_and_predicted(panels))


def _r_squared(found: Numbers) -> str:
    value = float(r_squared(np.ones((1, len(found.truth))), found.said, found.truth)[0])
    return "" if np.isnan(value) else f"R² {number(value)}"


def _feature_space(sets: Mapping[str, Features], data: ImageData, seed: int) -> Iterator[Picture]:
    split = data.held_out
    if len(split) < 4:
        return
    chosen = np.sort(np.random.default_rng(seed).permutation(len(split))[:POINTS])
    points: dict[str, NDArray[np.float32]] = {}
    if len(sets) == 1:
        points["raw pixels"] = small_pixels(split, chosen)
    points |= {title: np.asarray(values, dtype=np.float32)[chosen] for title, values in sets.items()}
    planes = {title: in_the_plane(values, seed) for title, values in points.items()}
    method = next(iter(planes.values()))[1]
    panels = {title: torch.from_numpy(plane) for title, (plane, _) in planes.items()}
    caption = (
        f"{len(chosen):,} {split.name} images in two dimensions by {method}: near each other where they are alike."
    )
    labels, names = _colours(data)
    if data.spec.target == "multi-label":
        caption += " An image has the colour of its rarest label."
    if data.spec.target == "number":
        caption += f" Colours are thirds of the range of {data.spec.classes[0]}."
    figure = plots.scatters(panels, labels[torch.from_numpy(chosen)], names)
    yield Picture("feature-space", "Feature space", caption, figure)


def _colours(data: ImageData) -> tuple[Tensor, tuple[str, ...]]:
    """What points are coloured by: the class, an image's rarest label, or a third of the first column's range."""
    split = data.held_out
    if split.labels is not None:
        return split.labels, data.spec.classes
    nothing = torch.full((len(split),), -1)
    if split.targets is None:
        return nothing, ()
    targets = split.targets
    if data.spec.target == "multi-label":
        rarity = targets.nan_to_num() / targets.nan_to_num().sum(0).clamp_min(1)
        return torch.where(targets.nan_to_num().any(1), rarity.argmax(1), nothing), data.spec.classes
    column = targets[:, 0]
    bounds = column.nanquantile(torch.tensor([1 / 3, 2 / 3]))
    thirds = torch.bucketize(column.contiguous(), bounds)
    name = data.spec.classes[0]
    return torch.where(column.isnan(), nothing, thirds), (f"{name}: low", f"{name}: middle", f"{name}: high")
