"""Pictures for the report: the evidence for the choice, and what the network makes of held-out images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dlkit.features import extract, side_by_side
from dlkit.probes.targets import SCORES
from dlkit.report import Picture, label_plots
from dlkit.supervised.pictures import supervised_pictures
from dlkit.supervised.saliency import saliency_picture
from dlkit_builtin.transfer.catalog import STRATEGIES
from dlkit_builtin.transfer.evaluation import features_of, outputs_of
from dlkit_builtin.transfer.plots import learning_curve

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.runtime import Runtime
    from dlkit_builtin.transfer.technique import Transfer

LOOKED_AT = 6
"""Images on which the places that matter are marked."""


def pictures(technique: Transfer, data: ImageData, runtime: Runtime) -> Iterator[Picture]:
    """What a person would want to look at."""
    yield from evidence(technique)
    split = data.held_out
    before = None
    if technique.before is not None:
        taps = technique.network.taps
        found = extract(technique.before, split, taps, runtime, technique.options)
        before = side_by_side(found, taps)
    outputs = outputs_of(technique, split, runtime)
    yield from supervised_pictures(
        outputs,
        data,
        features_after=features_of(technique, split, runtime),
        features_before=before,
        titles=("pretrained", "fine-tuned") if before is not None else ("before", _whose(technique)),
        saliency=_where_it_looks(technique, data, outputs, runtime),
        seed=runtime.derive("feature space") % 2**32,
    )


def _whose(technique: Transfer) -> str:
    """What the features that are shown are."""
    if technique.strategy == "scratch":
        return "learned features"
    if STRATEGIES[technique.strategy].gradients:
        return "fine-tuned features"
    return "features of random weights" if technique.options.random_init else "pretrained features"


def evidence(technique: Transfer) -> Iterator[Picture]:
    """How well each stage probes, and what more data would bring, where this was found out."""
    score = SCORES[technique.spec.target]
    if technique.stages:
        curves = {
            "linear probe": [(row["probe"], *row["probe_interval"]) for row in technique.stages],
            "5 nearest neighbours": [(row["neighbours"], float("nan"), float("nan")) for row in technique.stages],
        }
        names = [str(row["stage"]) for row in technique.stages]
        best = max(technique.stages, key=lambda row: row["probe"])["stage"]
        caption = (
            "By cross-validation on the training images, with 95 % intervals; the best stage is shaded. Features of "
            "early stages are general, those of late ones are about what the source's classes look like. "
            f"{_taken(technique)}"
        )
        yield Picture(
            "stages",
            "Stage by stage",
            caption,
            label_plots.stage_curve(names, curves, score, best, _majority(technique)),
        )
    curve = (technique.advice or {}).get("learning_curve")
    if curve:
        caption = "What a linear probe reaches with fewer images, by cross-validation, with 95 % intervals."
        figure = learning_curve(curve, score, _majority(technique))
        yield Picture("more-data", "What more data would bring", caption, figure)


def _majority(technique: Transfer) -> tuple[str, float] | None:
    """What the commonest class's name gets right of the training images; None where there are no classes."""
    counts = technique.spec.class_counts.get("train", ())
    if technique.spec.target != "classes" or not sum(counts):
        return None
    return "majority class", max(counts) / sum(counts)


def _taken(technique: Transfer) -> str:
    """Which features the head takes; that need not be the stage of the best accuracy."""
    taps = technique.network.taps
    which = "all stages together" if len(taps) > 1 else f"stage {taps[0]}"
    why = ", chosen by log-loss" if technique.strategy == "stage-probe" else ""
    return f"The head of this network takes {which}{why}."


def _where_it_looks(technique: Transfer, data: ImageData, outputs: Tensor, runtime: Runtime) -> Picture | None:
    """Places that speak for the answer, at the last stage that the head depends on and that has several places."""
    network, split = technique.network, data.held_out
    stages = [stage for stage in network.backbone.stages if stage.module]
    if technique.spec.target == "number" or not stages or len(split) == 0:
        return None
    names = {tap.stage for tap in network.taps}
    last = max((place for place, stage in enumerate(stages) if stage.name in names), default=len(stages) - 1)
    generator = runtime.generator("where it looks", device="cpu")
    chosen = torch.randperm(len(split), generator=generator)[:LOOKED_AT].sort().values
    shown = split.subset(chosen)
    images = shown.pixels().to(runtime.device)
    for stage in reversed(stages[: last + 1]):
        layer: Any = network.backbone.network.get_submodule(stage.module)
        picture = saliency_picture(
            network.eval(), layer, images, shown.labels, technique.spec.classes, axis=stage.axis, files=shown.files,
            probabilities=outputs[chosen],
        )  # fmt: skip
        if picture is not None:
            return picture
    return None
