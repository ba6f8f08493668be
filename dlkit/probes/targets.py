"""What is to be predicted, as arrays, and how well a prediction did on each image."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from dlkit.data.spec import DataSpec, TargetKind

if TYPE_CHECKING:
    from dlkit.data import Split

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


SCORES: dict[TargetKind, str] = {"classes": "accuracy", "multi-label": "label accuracy", "number": "R²"}
"""What the mean of :meth:`Targets.scores` is called."""


@dataclass(frozen=True)
class Targets:
    """Targets of N labelled images.

    Attributes:
        kind: what they say.
        values: int64 ``(N,)`` for classes; float64 ``(N, K)`` for several labels (0 or 1) and for numbers.
        outputs: K: classes, labels or numbers.
        balanced: weigh the classes (each label's positives and negatives) alike, however many images they have.
        sources: int64 ``(N,)``: rows with the same number are copies of one image; None: each stands for itself.
    """

    kind: TargetKind
    values: NDArray[np.int64] | Floats
    outputs: int
    balanced: bool = False
    sources: Ints | None = None

    def __len__(self) -> int:
        return len(self.values)

    def subset(self, indices: Ints) -> Targets:
        """Those of some of the images."""
        sources = None if self.sources is None else self.sources[indices]
        return dataclasses.replace(self, values=self.values[indices], sources=sources)

    def weights(self) -> Floats | None:
        """What each image's loss is multiplied by, ``(N,)``, or that of each of its labels, ``(N, K)``; None: nothing.

        As scikit-learn's ``class_weight="balanced"``: images / (classes that are there × images of the class).
        """
        if not self.balanced or self.kind == "number":
            return None
        if self.kind == "classes":
            counts = np.bincount(self.values.astype(np.int64))
            return np.asarray(len(self) / (np.count_nonzero(counts) * counts[self.values.astype(np.int64)]))
        has = self.values >= 0.5
        return np.asarray(len(self) / (2 * np.where(has, has.sum(0), (~has).sum(0))))

    def strata(self) -> Ints | None:
        """What folds should have alike: the class; the quarter of the (first) number; nothing for several labels."""
        if self.kind == "classes":
            return np.asarray(self.values, dtype=np.int64)
        if self.kind == "number":
            first = self.values[:, 0]
            return np.searchsorted(np.quantile(first, (0.25, 0.5, 0.75)), first).astype(np.int64)
        return None

    def scores(self, outputs: NDArray[np.floating]) -> Floats:
        """How well each image was predicted; the mean is a figure between 0 and 1, more is better.

        Classes: 1 where the largest output is the class, so that the mean is accuracy. Several labels: the share of
        labels that are right. Numbers: 1 − (ŷ − y)² / var(y), averaged over numbers: the mean is R².

        Args:
            outputs: ``(N, K)``: probabilities (or logits, for classes), or numbers.
        """
        if self.kind == "classes":
            return np.asarray(outputs.argmax(1) == self.values, dtype=np.float64)
        if self.kind == "multi-label":
            return np.asarray(((outputs >= 0.5) == (self.values >= 0.5)).mean(1), dtype=np.float64)
        variance = np.maximum(self.values.var(0), np.finfo(np.float64).tiny)
        return np.asarray((1 - (outputs - self.values) ** 2 / variance).mean(1), dtype=np.float64)


def targets_of(split: Split, spec: DataSpec, *, balanced: bool = False) -> tuple[Targets, Ints]:
    """The targets of a split's labelled images, and which images these are, int64 ``(N,)``.

    Args:
        split: the images.
        spec: of the data.
        balanced: as :attr:`Targets.balanced`.

    Raises:
        ValueError: the split has no labels at all.
    """
    if spec.target == "classes":
        if split.labels is None:
            raise ValueError(f"the {split.name} split has no labels")
        known = torch.nonzero(split.labels >= 0).flatten().numpy()
        return Targets(
            "classes", split.labels.numpy()[known], len(spec.classes), balanced, _sources(split, known)
        ), known
    if split.targets is None:
        raise ValueError(f"the {split.name} split has no targets")
    values = split.targets.double().numpy()
    known = np.flatnonzero(~np.isnan(values).any(1))
    return Targets(spec.target, values[known], values.shape[1], balanced, _sources(split, known)), known


def _sources(split: Split, known: Ints) -> Ints | None:
    return None if split.sources is None else split.sources.numpy()[known]
