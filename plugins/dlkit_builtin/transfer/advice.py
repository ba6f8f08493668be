"""What the measurements and the race say: candidates with their estimates, the choice, and why, in plain words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlkit.probes.estimates import interval
from dlkit_builtin.transfer.catalog import CELLS, STRATEGIES
from dlkit_builtin.transfer.measure import Measurements
from dlkit_builtin.transfer.stages import StageEstimate

TIE = 0.5
"""A costlier strategy must be better by this many standard errors of the paired difference; else it is a tie, and
the cheaper one is taken. Small on purpose: what counts is what the choice costs on average, not its significance."""
HOPELESS = 2.0
"""A candidate that is worse by this many standard errors of the paired difference cannot win: it is dropped."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A strategy with what cross-validation says of it.

    Attributes:
        strategy: its name.
        scores: of each labelled training image, by models that never saw it; NaN where none was tried on it.
        seconds: what trying it out took.
        note: what a reader should know (which stages, why it was stopped).
    """

    strategy: str
    scores: NDArray[np.float64]
    seconds: float = 0.0
    note: str = ""

    @property
    def tried(self) -> NDArray[np.bool_]:
        """On which images."""
        return ~np.isnan(self.scores)

    @property
    def value(self) -> float:
        """The mean score over the images that it was tried on."""
        return float(self.scores[self.tried].mean()) if self.tried.any() else math.nan

    def over(self, other: Candidate) -> tuple[float, float]:
        """Mean and standard error of its advantage, on the images that both were tried on."""
        both = self.tried & other.tried
        if both.sum() < 2:
            return 0.0, math.inf
        difference = self.scores[both] - other.scores[both]
        return float(difference.mean()), float(difference.std(ddof=1)) / math.sqrt(int(both.sum()))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        known = self.scores[self.tried]
        return {
            "strategy": self.strategy,
            "value": self.value if len(known) else None,
            "interval": list(interval(known)) if len(known) else None,
            "images": len(known),
            "seconds": round(self.seconds, 2),
            "note": self.note,
        }


@dataclass(frozen=True, kw_only=True)
class Advice:
    """The whole of it.

    Attributes:
        measurements: size and similarity.
        stages: estimates for every stage, in the order of the forward pass.
        candidates: those that were tried, the cheapest first.
        choice: the strategy to take.
        reasons: sentences.
        curve: what a probe reaches with fewer images: (images, score, standard error).
    """

    measurements: Measurements
    stages: tuple[StageEstimate, ...]
    candidates: tuple[Candidate, ...]
    choice: str
    reasons: tuple[str, ...]
    curve: tuple[tuple[float, float, float], ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "choice": self.choice,
            "reasons": list(self.reasons),
            "measurements": self.measurements.to_json(),
            "candidates": [candidate.to_json() for candidate in self.candidates],
            "stages": [vars(stage) for stage in self.stages],
            "learning_curve": [list(point) for point in self.curve],
        }


def choose(candidates: Sequence[Candidate]) -> Candidate:
    """The best candidate; of two that are level, the one that stands first."""
    best = candidates[0]
    for candidate in candidates[1:]:
        mean, error = candidate.over(best)
        if mean > TIE * error:
            best = candidate
    return best


def hopeless(candidate: Candidate, best: Candidate) -> bool:
    """Whether the candidate cannot be expected to win any more."""
    mean, error = candidate.over(best)
    return mean + HOPELESS * error < 0


def reasons(measurements: Measurements, candidates: Sequence[Candidate], best: Candidate, word: str) -> list[str]:
    """Why, in plain words.

    Args:
        measurements: size and similarity.
        candidates: those that were tried, the cheapest first.
        best: the choice among them.
        word: what a score is: ``accuracy``.
    """
    size, similarity = measurements.size, measurements.similarity
    taught, _ = CELLS[size, similarity]
    said = [
        f"{measurements.images:,} labelled images, {measurements.per_class:,.0f} per class: {size} data.",
        _similarity_sentence(measurements),
        f"The textbook's cell ({size} data, {similarity}) says: {taught}.",
        f"By cross-validation on the training images {best.strategy} reaches {word} {best.value:.3f}.",
    ]
    for candidate in candidates:
        if candidate is best or not candidate.tried.any():
            continue
        said.append(_comparison(candidate, best, STRATEGIES[candidate.strategy].gradients))
    return said


def _similarity_sentence(measurements: Measurements) -> str:
    best = f"the stage that probes best is {measurements.best_stage}"
    if measurements.confidence is None:
        return f"The weights have no source classifier; {best}: {measurements.similarity}."
    return (
        f"The source's own classifier gives its first choice a probability of {measurements.confidence:.2f} on "
        f"average, and {best}: {measurements.similarity} to the source."
    )


def _comparison(candidate: Candidate, best: Candidate, gradients: bool) -> str:
    mean, error = candidate.over(best)
    difference = f"{100 * mean:+.1f} ± {196 * error:.1f} points beside {best.strategy}"
    if mean <= 0:
        end = ""
    elif gradients:
        end = ": within the noise, and not worth its cost"
    else:
        end = ": within the noise"
    return f"{candidate.strategy}: {difference}{end}." + (f" {candidate.note}" if candidate.note else "")
