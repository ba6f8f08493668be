"""What can be measured before anything is trained: how much data there is, and how like the source's it looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from dlkit.backbones.backbone import TOP
from dlkit.probes.targets import Targets
from dlkit_builtin.transfer.catalog import Similarity, Size

if TYPE_CHECKING:
    from dlkit.backbones import Backbone
    from dlkit_builtin.transfer.study import Study

LITTLE_PER_CLASS = 100
"""Fewer labelled images per class (the median class) count as little data, as in the usual few-shot transfer
benchmarks, which stop there or before."""
CONFIDENT = 0.4
"""Mean probability of the source classifier's first choice from which images count as similar to the source's.
Measured with MobileNetV2 (ImageNet, 89 %) on 120 images each: ants and bees 0.57, cats and dogs 0.47; satellite
scenes 0.31, CIFAR-10 0.24, hand signs 0.24, faces 0.23."""


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """What the choice starts from; plain numbers.

    Attributes:
        images: labelled training images.
        per_class: of the median class; for numbers and several labels: images per output.
        imbalance: largest class / smallest; 1 where targets are no classes.
        confidence: mean probability of the source classifier's first choice; None without its head.
        information: share of the label's entropy that this first choice explains, beyond chance (adjusted mutual
            information); None without its head, or where targets are no classes.
        best_stage: the stage on which a linear probe does best, by cross-validation.
    """

    images: int
    per_class: float
    imbalance: float
    confidence: float | None
    information: float | None
    best_stage: str

    @property
    def size(self) -> Size:
        """The table's row."""
        return "little" if self.per_class < LITTLE_PER_CLASS else "much"

    @property
    def similarity(self) -> Similarity:
        """The table's column: by what the source classifier sees, else by which stage probes best."""
        if self.confidence is None:
            return "similar" if self.best_stage == TOP else "different"
        return "similar" if self.confidence >= CONFIDENT else "different"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**vars(self), "size": self.size, "similarity": self.similarity}


def measure(study: Study, targets: Targets, backbone: Backbone, best_stage: str) -> Measurements:
    """Measure.

    Args:
        study: has the top features of all labelled training images, or of some.
        targets: of all of them.
        backbone: with its source classifier, where it has one.
        best_stage: where a linear probe does best.
    """
    per_class, imbalance = _per_class(targets)
    confidence, information = _source_view(study, backbone)
    return Measurements(
        images=len(targets),
        per_class=per_class,
        imbalance=imbalance,
        confidence=confidence,
        information=information,
        best_stage=best_stage,
    )


def _per_class(targets: Targets) -> tuple[float, float]:
    if targets.kind == "classes":
        counts = np.bincount(targets.values.astype(np.int64), minlength=targets.outputs)
        counts = counts[counts > 0]
        return float(np.median(counts)), float(counts.max() / counts.min())
    if targets.kind == "multi-label":
        return float(np.median(targets.values.sum(0))), 1.0
    return len(targets) / targets.outputs, 1.0


def _source_view(study: Study, backbone: Backbone) -> tuple[float | None, float | None]:
    """How sure the source classifier is of what it sees, and how much its first choice tells about the label."""
    from dlkit.backbones import Tap

    if backbone.classifier is None:
        return None, None
    probabilities = source_probabilities(backbone, study.features[Tap(TOP)])
    if probabilities is None:
        return None, None
    confidence = float(probabilities.max(1).mean())
    if study.targets.kind != "classes":
        return confidence, None
    from sklearn.metrics import adjusted_mutual_info_score

    return confidence, float(adjusted_mutual_info_score(study.targets.values, probabilities.argmax(1)))


def source_probabilities(backbone: Backbone, features: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """The source classifier's probabilities for top features ``(N, D)``; None where it takes something else."""
    classifier = backbone.classifier
    size = getattr(classifier, "in_features", None)
    if classifier is None or size != features.shape[1]:
        return None
    device = next(classifier.parameters()).device
    with torch.inference_mode():
        logits = classifier(torch.from_numpy(features).to(device)).float()
        return np.asarray(logits.softmax(1).cpu())
