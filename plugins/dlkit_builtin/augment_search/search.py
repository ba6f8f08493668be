"""The search: successive halving over single augmenters, then over strengths, then the best of them together.

A gain is the accuracy with a policy minus that without, of the same seed: the same images to learn from and to be
tested on, the same first weights, the same order of batches. What a gain's mean over k seeds is worth is told by how
much gains scatter from seed to seed, estimated from all arms together (a pooled variance), since single arms have few
seeds:

    mean ± t(0.975; ν) σ / √k,   σ² = Σ_arms Σ_seeds (gain − mean)² / ν,   ν = Σ_arms (k_arm − 1)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from dlkit.metrics import Row
from dlkit_builtin.augment_search.arms import NONE, Arm, at_strengths, single_arms
from dlkit_builtin.augment_search.trials import BudgetSpentError, Trials

_STRONGER, _TOGETHER = 4, 4
"""So many of the best augmenters are tried at other strengths, and together."""

HELPS, HURTS, UNCLEAR = "helps", "hurts", "no difference shown"


@dataclass(frozen=True)
class Gain:
    """An arm's gains, seed by seed, and the 95 % interval of their mean."""

    arm: Arm
    gains: tuple[float, ...]
    interval: tuple[float, float]

    @property
    def mean(self) -> float:
        """Over the seeds that there are."""
        return math.fsum(self.gains) / len(self.gains)

    @property
    def verdict(self) -> str:
        """Whether it helps, hurts, or neither can be told."""
        low, high = self.interval
        return HELPS if low > 0 else HURTS if high < 0 else UNCLEAR

    def row(self) -> Row:
        """For the table; gains in points of accuracy."""
        return {
            "augmenter": self.arm.name,
            "family": self.arm.family,
            "policy": self.arm.policy,
            "gain": round(100 * self.mean, 3),
            "from": round(100 * self.interval[0], 3),
            "to": round(100 * self.interval[1], 3),
            "seeds": len(self.gains),
            "verdict": self.verdict,
        }


@dataclass
class Search:
    """What is found; :meth:`run` finds it.

    Attributes:
        trials: tries.
        arms: single augmenters to begin with.
        say: told what happens.
        complete: the budget sufficed.
    """

    trials: Trials
    arms: Sequence[Arm]
    say: Callable[[str], None] = lambda _: None
    complete: bool = True
    _gains: dict[Arm, list[float]] = field(default_factory=dict)

    def run(self) -> None:
        """Try, as far as the budget goes."""
        try:
            self._halve(self.arms)
            best = [gain.arm for gain in self._leaders(self.arms)[:_STRONGER]]
            self._halve([other for arm in best for other in at_strengths(arm)])
            self._combine()
        except BudgetSpentError:
            self.complete = False
            self.say(f"The budget is spent after {self.trials.count()} trainings.")

    @property
    def results(self) -> list[Gain]:
        """All that was tried, the best first."""
        found = [Gain(arm, tuple(gains), self._interval(gains)) for arm, gains in self._gains.items() if gains]
        return sorted(found, key=lambda gain: -gain.mean)

    @property
    def best(self) -> Gain | None:
        """What was best, among what was tried with most seeds; None where nothing was better than no augmentation."""
        results = self.results
        most = max((len(gain.gains) for gain in results), default=0)
        best = next((gain for gain in results if len(gain.gains) == most), None)
        return best if best is not None and best.mean > 0 else None

    @property
    def found(self) -> str:
        """The policy of the best; empty where there is none."""
        return self.best.arm.policy if self.best is not None else NONE

    @property
    def proven(self) -> bool:
        """Whether its gain is more than chance explains."""
        return self.best is not None and self.best.verdict == HELPS

    def _halve(self, arms: Sequence[Arm]) -> None:
        """Two seeds for all, one more for the better half, the rest for the better half of those; what is known to
        hurt is out at once."""
        stops = sorted({2, min(3, self.trials.seeds), self.trials.seeds})
        running = list(arms)
        for stop in stops:
            for seed in range(stop):
                for arm in running:
                    self._try(arm, seed)
            ranked = [gain for gain in self.results if gain.arm in running]
            self._tell(ranked, stop)
            able = [gain.arm for gain in ranked if gain.verdict != HURTS]
            running = able[: max(1, math.ceil(len(running) / 2))]

    def _try(self, arm: Arm, seed: int) -> None:
        gains = self._gains.setdefault(arm, [])
        if len(gains) == seed:
            without = self.trials.accuracy(NONE, seed)
            gains.append(self.trials.accuracy(arm.policy, seed) - without)

    def _tell(self, ranked: Sequence[Gain], stop: int) -> None:
        if ranked:
            best, worst = ranked[0], ranked[-1]
            self.say(
                f"{len(ranked)} policies, {stop} seeds: best {best.arm.policy} {100 * best.mean:+.1f}, "
                f"worst {worst.arm.policy} {100 * worst.mean:+.1f} points of accuracy"
            )

    def _leaders(self, arms: Iterable[Arm] | None = None) -> list[Gain]:
        """The best of each augmenter, of those tried with all seeds, and better than nothing."""
        wanted = None if arms is None else set(arms)
        leaders: dict[str, Gain] = {}
        for gain in self.results:
            whole = len(gain.gains) == self.trials.seeds and gain.mean > 0
            if whole and (wanted is None or gain.arm in wanted):
                leaders.setdefault(gain.arm.name, gain)
        return list(leaders.values())

    def _combine(self) -> None:
        """Add the next best augmenter that helps to the best one, as long as it gets better."""
        able = [gain for gain in self._leaders() if gain.arm.family != "policies" and gain.verdict == HELPS]
        leaders = able[:_TOGETHER]
        if not leaders:
            return
        best, current = leaders[0].mean, leaders[0].arm
        for other in leaders[1:]:
            both = Arm(f"{current.name} + {other.arm.name}", "together", f"{current.policy} {other.arm.policy}")
            for seed in range(self.trials.seeds):
                self._try(both, seed)
            gains = self._gains[both]
            mean = math.fsum(gains) / len(gains)
            self.say(f"Together: {both.policy} {100 * mean:+.1f}")
            if mean > best:
                best, current = mean, both

    def _interval(self, gains: Sequence[float]) -> tuple[float, float]:
        """95 %, with the scatter of all arms; all that a gain can be where there is none yet."""
        from scipy.stats import t

        squares, freedom = 0.0, 0
        for each in self._gains.values():
            mean = math.fsum(each) / max(1, len(each))
            squares += math.fsum((gain - mean) ** 2 for gain in each)
            freedom += max(0, len(each) - 1)
        mean = math.fsum(gains) / len(gains)
        if freedom == 0:
            return -1.0, 1.0
        half = float(t.ppf(0.975, freedom)) * math.sqrt(squares / freedom / len(gains))
        return max(-1.0, mean - half), min(1.0, mean + half)


def begin(trials: Trials, wanted: Sequence[str], *, grey: bool, mixes: bool, say: Callable[[str], None]) -> Search:
    """A search over the installed augmenters that can be tried."""
    return Search(trials, single_arms(wanted, grey=grey, mixes=mixes), say)
