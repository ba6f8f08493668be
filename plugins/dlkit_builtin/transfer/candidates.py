"""Strategies with what cross-validation says of them, and which of them to expect most of.

Ten images say little, and the best of seven estimates is best by luck as well. So the advantage of a strategy over the
linear probe, d on average with standard error s over the images that both were tried on, is weighed against what is
known before: strategies differ by some points (τ), and training many weights on little data costs some (−μ), unless the
textbook names the strategy for such data. With the prior N(μ, τ²) the advantage to expect is

    E = (d / s² + μ / τ²) / (1 / s² + 1 / τ²)

(the posterior mean of a normal mean, Gelman et al. 2013, Bayesian Data Analysis, equation 2.10). The strategy with the
highest E is chosen; of equals, the cheapest.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlkit.probes.estimates import interval
from dlkit_builtin.transfer.catalog import STRATEGIES

TRUST = 0.06
"""τ, as accuracy. With 5 images per class of the data sets in docs/techniques/transfer.md (seeds 0 and 1), accuracy of
fine-tuning minus that of the linear probe had a standard deviation of 5.5 points."""
HANDICAP = 0.1
"""μ = −HANDICAP / √(images per class) for strategies that train by gradients: −4.5 points with 5 images per class,
where the same runs had a mean of −5.0, and −1 with 100."""
HOPELESS = 2.0
"""A candidate that is worse than the best by this many standard errors is not tried further."""


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

    def beside(self, other: Candidate) -> float:
        """Its mean advantage on the images that both were tried on, as it is."""
        both = self.tried & other.tried
        return float((self.scores[both] - other.scores[both]).mean()) if both.any() else 0.0

    def over(self, other: Candidate) -> tuple[float, float]:
        """Mean and standard error of its advantage, on the images that both were tried on.

        Two images are added, one won and one lost: without them a few images that happen to agree would have no error
        at all. (Agresti and Min 2005, Simple improved confidence intervals for comparing matched proportions, add two
        as well.)
        """
        both = self.tried & other.tried
        difference = self.scores[both] - other.scores[both]
        count = len(difference) + 2
        mean = float(difference.sum()) / count
        variance = (float((difference**2).sum()) + 2) / count - mean**2
        return mean, math.sqrt(variance / count)

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


@dataclass(frozen=True)
class Judge:
    """Weighs candidates.

    Attributes:
        reference: the linear probe, tried on all images.
        named: the strategies that the textbook names for such data.
        per_class: labelled images of the median class.
    """

    reference: Candidate
    named: Collection[str]
    per_class: float

    def expected(self, candidate: Candidate) -> float:
        """E of the module's docstring."""
        if candidate.strategy == self.reference.strategy:
            return 0.0
        mean, error = candidate.over(self.reference)
        free = candidate.strategy in self.named or not STRATEGIES[candidate.strategy].gradients
        prior = 0.0 if free else -HANDICAP / math.sqrt(self.per_class)
        return (mean / error**2 + prior / TRUST**2) / (1 / error**2 + 1 / TRUST**2)

    def choose(self, candidates: Sequence[Candidate]) -> Candidate:
        """The one to expect most of; of equals, the first."""
        return max(candidates, key=self.expected)

    def cannot_win(self, candidate: Candidate, candidates: Sequence[Candidate]) -> bool:
        """Whether the candidate would not be chosen even if it got everything right that it was not tried on yet, or
        is so much worse than the best that it cannot be expected to catch up."""
        best = self.choose(candidates)
        perfect = replace(candidate, scores=np.where(candidate.tried, candidate.scores, 1.0))
        if candidate.strategy != best.strategy and self.expected(perfect) <= self.expected(best):
            return True
        mean, error = candidate.over(best)
        return mean + HOPELESS * error < 0
