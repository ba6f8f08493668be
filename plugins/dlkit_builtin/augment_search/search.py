"""The search: successive halving over single augmenters, then over strengths, then the best of them together.

A gain is the accuracy with a policy minus that without, of the same seed: the same images to learn from and to be
tested on, the same first weights, the same order of batches. What a gain's mean over k seeds is worth is told by how
much gains scatter from seed to seed, estimated from all arms together (a pooled variance), since single arms have few
seeds:

    mean ± t(0.975; ν) σ / √k,   σ² = Σ_arms Σ_seeds (gain − mean)² / ν,   ν = Σ_arms (k_arm − 1)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain

from dlkit.metrics import Row
from dlkit_builtin.augment_search.arms import AND, NONE, TOGETHER, Arm, at_strengths
from dlkit_builtin.augment_search.trials import BudgetSpentError, Trials

_DOZEN = 12
"""Of so many augmenters one is tried at other strengths, and one is added to the best: shares of the budget stay."""
_TRAININGS, _FEWEST = 5, 4
"""Trainings that the whole search has for each augmenter, about; augmenters that are tried whatever the budget."""

HELPS, HURTS, UNCLEAR = "helps", "hurts", "no difference shown"


@dataclass(frozen=True)
class Gain:
    """An arm's gains, seed by seed, and the 95 % interval of their mean."""

    arm: Arm
    gains: tuple[float, ...]
    interval: tuple[float, float]

    @property
    def mean(self) -> float:
        """Over the seeds that there are; what is due to rounding alone is no gain."""
        return round(math.fsum(self.gains) / len(self.gains), 9) + 0.0  # −0 is 0

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
        left_out: so many of the arms, the last ones, were not tried, for lack of time.
    """

    trials: Trials
    arms: Sequence[Arm]
    say: Callable[[str], None] = lambda _: None
    complete: bool = True
    left_out: int = 0
    _gains: dict[Arm, list[float]] = field(default_factory=dict)

    def run(self) -> None:
        """Try, as far as the budget goes."""
        try:
            arms = self._affordable()
            # In groups, as policies would push single augmenters out, which can be added to them.
            self._halve(*([arm for arm in arms if arm.several is several] for several in (True, False)))
            strengths = [others for gain in self._leaders() if (others := at_strengths(gain.arm))]
            few = math.ceil(len(arms) / _DOZEN)
            self._halve([other for others in strengths[:few] for other in others])
            self._combine(few)
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

    def _affordable(self) -> Sequence[Arm]:
        """As many arms as the budget may carry through, going by the time of two trainings."""
        self._try(self.arms[0], 0)
        trainings = self.trials.affordable
        count = max(_FEWEST, trainings // _TRAININGS)
        self.left_out = max(0, len(self.arms) - count)
        if self.left_out:
            self.say(
                f"The budget is enough for about {trainings} trainings: {count} of {len(self.arms)} policies are tried."
                " More --budget or fewer --epochs, --images or --augmenters leave none out."
            )
        return self.arms[:count]

    def _halve(self, *groups: Sequence[Arm]) -> None:
        """Two seeds for all, one more for the better half of each group, the rest for the better half of those; what
        is known to hurt is out at once, and what is compared in the end stays."""
        stops = sorted({2, min(3, self.trials.seeds), self.trials.seeds})
        for stop in stops:
            for seed in range(stop):
                for arm in chain(*groups):
                    self._try(arm, seed)
            groups = tuple(self._better_half(group, stop) for group in groups)

    def _better_half(self, arms: Sequence[Arm], seeds: int) -> Sequence[Arm]:
        ranked = [gain for gain in self.results if gain.arm in arms]
        self._tell(ranked, seeds)
        able = [gain.arm for gain in ranked if gain.verdict != HURTS]
        count = max(1, math.ceil(len(arms) / 2))
        return [arm for place, arm in enumerate(able) if place < count or arm.compared]

    def _try(self, arm: Arm, seed: int) -> None:
        gains = self._gains.setdefault(arm, [])
        if len(gains) == seed:
            without = self.trials.accuracy(NONE, seed)
            gains.append(self.trials.accuracy(arm.policy, seed) - without)

    def _tell(self, ranked: Sequence[Gain], stop: int) -> None:
        if ranked:
            best, worst = ranked[0], ranked[-1]
            count = "1 policy" if len(ranked) == 1 else f"{len(ranked)} policies"
            self.say(
                f"{count}, {stop} seeds: best {best.arm.policy} {100 * best.mean:+.1f}, "
                f"worst {worst.arm.policy} {100 * worst.mean:+.1f} points of accuracy"
            )

    def _leaders(self) -> list[Gain]:
        """The best of each augmenter, of those tried with all seeds, and better than nothing."""
        leaders: dict[str, Gain] = {}
        for gain in self.results:
            if len(gain.gains) == self.trials.seeds and gain.mean > 0:
                leaders.setdefault(gain.arm.name, gain)
        return list(leaders.values())

    def _combine(self, most: int) -> None:
        """Try to add so many of the next best augmenters that help to the best one; what makes it better stays."""
        leaders = [gain for gain in self._leaders() if gain.verdict == HELPS]
        if not leaders:
            return
        best, tried = leaders[0], 0
        for other in leaders[1:]:
            both = _together(best.arm, other.arm)
            if both is None or tried == most:
                continue
            tried += 1
            for seed in range(self.trials.seeds):
                self._try(both, seed)
            found = next(gain for gain in self.results if gain.arm == both)
            self.say(f"Together: {both.policy} {100 * found.mean:+.1f}")
            best = max(best, found, key=lambda gain: gain.mean)

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


def _together(one: Arm, other: Arm) -> Arm | None:
    """Both, one after the other; nothing where they share an augmenter, or both are published policies."""
    names = one.name.split(AND), other.name.split(AND)
    if set(names[0]) & set(names[1]) or (one.published and other.published):
        return None
    return Arm(AND.join(names[0] + names[1]), TOGETHER, f"{one.policy} {other.policy}")
