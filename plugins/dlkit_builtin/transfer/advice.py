"""What the measurements and the race say: candidates with their estimates, the choice, and why, in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dlkit_builtin.transfer.candidates import Candidate
from dlkit_builtin.transfer.catalog import CELLS, STRATEGIES
from dlkit_builtin.transfer.measure import Measurements
from dlkit_builtin.transfer.stages import StageEstimate


@dataclass(frozen=True, kw_only=True)
class Advice:
    """The whole of it.

    Attributes:
        measurements: size and similarity.
        stages: estimates for every stage, in the order of the forward pass.
        candidates: those that were tried, the cheapest first.
        expected: strategy → advantage over the linear probe to expect (see :mod:`.candidates`).
        choice: the strategy to take.
        reasons: sentences.
        curve: what a probe reaches with fewer images: (images, score, standard error).
    """

    measurements: Measurements
    stages: tuple[StageEstimate, ...]
    candidates: tuple[Candidate, ...]
    expected: Mapping[str, float]
    choice: str
    reasons: tuple[str, ...]
    curve: tuple[tuple[float, float, float], ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "choice": self.choice,
            "reasons": list(self.reasons),
            "measurements": self.measurements.to_json(),
            "candidates": [
                {**candidate.to_json(), "expected": self.expected.get(candidate.strategy)}
                for candidate in self.candidates
            ],
            "stages": [vars(stage) for stage in self.stages],
            "learning_curve": [list(point) for point in self.curve],
        }


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
    mean, error = candidate.beside(best), candidate.over(best)[1]
    difference = f"{100 * mean:+.1f} ± {196 * error:.1f} points beside {best.strategy}"
    if mean <= 0:
        end = ""
    elif gradients:
        end = ": too little evidence that it is worth its cost"
    else:
        end = ": too little evidence"
    return f"{candidate.strategy}: {difference}{end}." + (f" {candidate.note}" if candidate.note else "")
