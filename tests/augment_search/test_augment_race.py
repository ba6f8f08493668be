"""The race among augmenters: halving, budgets, intervals and combinations, on made-up gains."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
from dlkit_builtin.augment_search.arms import Arm, at_strengths, single_arms
from dlkit_builtin.augment_search.evaluation import _gains
from dlkit_builtin.augment_search.search import HELPS, HURTS, UNCLEAR, Search
from dlkit_builtin.augment_search.trials import BudgetSpentError
from scipy.stats import t

from dlkit.augment import Policy
from dlkit.errors import UsageError


class Made:
    """Trials with known effects and a little noise."""

    def __init__(
        self, effects: Mapping[str, float], seeds: int = 5, most: int = 10_000, affordable: int = 10_000
    ) -> None:
        self.effects, self.seeds, self.most, self.affordable = effects, seeds, most, affordable
        self.done: list[tuple[str, int]] = []

    def count(self) -> int:
        return len(self.done)

    def accuracy(self, policy: str, seed: int) -> float:
        if (policy, seed) not in self.done:
            if len(self.done) >= self.most:
                raise BudgetSpentError
            self.done.append((policy, seed))
        random = np.random.default_rng([seed, *policy.encode()])
        steps = policy.split()
        return 0.8 + sum(self.effects.get(step, 0.0) for step in steps) + random.normal(0, 0.004)


def arms(count: int) -> list[Arm]:
    """``flip@0.01``, ``flip@0.02``…: policies that can be parsed, and have no strengths."""
    return [Arm(f"arm {number}", "made", f"flip@{number / 100:g}") for number in range(1, count + 1)]


def searched(trials: Made, tried: list[Arm]) -> Search:
    search = Search(trials, tried)  # type: ignore[arg-type]
    search.run()
    return search


def test_what_helps_is_found_and_what_hurts_is_named() -> None:
    tried = arms(16)
    trials = Made({tried[3].policy: 0.05, tried[7].policy: 0.03, tried[5].policy: -0.08})
    search = searched(trials, tried)
    verdicts = {gain.arm.name: gain.verdict for gain in search.results}
    assert verdicts["arm 4"] == verdicts["arm 8"] == HELPS
    assert verdicts["arm 6"] == HURTS
    assert list(verdicts.values()).count(UNCLEAR) >= 11
    assert search.found == f"{tried[3].policy} {tried[7].policy}"  # both together are better than either
    assert search.complete


def test_halving_spends_little_on_the_rest() -> None:
    tried = arms(16)
    trials = Made({})
    search = searched(trials, tried)
    seeds = sorted((len(gain.gains) for gain in search.results if "+" not in gain.arm.name), reverse=True)
    assert seeds == [5] * 4 + [3] * 4 + [2] * 8
    assert all(gain.verdict != HURTS or gain.mean < 0 for gain in search.results)


def test_intervals_pool_the_scatter_of_all_arms() -> None:
    tried = arms(6)
    search = searched(Made({}, seeds=2), tried)
    gains = np.array([gain.gains for gain in search.results if "+" not in gain.arm.name])
    scatter = math.sqrt(((gains - gains.mean(1, keepdims=True)) ** 2).sum() / len(gains))
    together = [gain for gain in search.results if "+" in gain.arm.name]
    if not together:  # the pool is these arms alone
        half = t.ppf(0.975, len(gains)) * scatter / math.sqrt(2)
        low, high = search.results[0].interval
        assert high - low == pytest.approx(2 * half)


def test_as_many_right_answers_as_without_are_no_gain() -> None:
    """One fewer with one seed and one more with another are, in floating point, a little more than nothing."""
    right = {"": [351, 352, 348, 350, 352], "flip@0.01": [350, 352, 348, 350, 353]}
    accuracies = {policy: [count / 359 for count in counts] for policy, counts in right.items()}
    trials = Made({})
    trials.accuracy = lambda policy, seed: accuracies[policy][seed]  # type: ignore[method-assign]
    search = searched(trials, arms(1))
    assert search.best is None
    assert str(search.results[0].row()["gain"]) == "0.0"
    (told,) = _gains({"none": accuracies[""], "found": accuracies["flip@0.01"]}, "found", "test")
    assert told.value == 0


def test_a_spent_budget_ends_it_with_what_there_is() -> None:
    tried = arms(8)
    search = searched(Made({tried[2].policy: 0.1}, most=20), tried)
    assert not search.complete
    assert search.found == tried[2].policy
    assert searched(Made({arm.policy: -0.1 for arm in tried}), tried).found == ""


def test_a_small_budget_tries_few_augmenters_well() -> None:
    tried = arms(16)
    search = searched(Made({tried[2].policy: 0.1, tried[9].policy: 0.2}, affordable=30), tried)
    assert search.left_out == 10
    assert len(search.results) == 6  # the first ones
    assert search.found == tried[2].policy
    assert searched(Made({}, affordable=75), tried).left_out == 1
    assert searched(Made({}, affordable=80), tried).left_out == 0


def test_what_is_compared_in_the_end_has_all_seeds_unless_it_hurts() -> None:
    trivial = Arm("trivial", "policies", "trivial")
    better = {arm.policy: 0.02 for arm in arms(12)}
    seeds = {gain.arm.name: len(gain.gains) for gain in searched(Made(better), [*arms(12), trivial]).results}
    assert seeds["trivial"] == 5
    hurt = searched(Made({"trivial": -0.1}), [*arms(12), trivial])
    assert next(len(gain.gains) for gain in hurt.results if gain.arm == trivial) == 2


def test_augmenters_are_added_to_a_policy_that_is_best() -> None:
    tried = [Arm(name, "policies", name) for name in ("trivial", "rand", "augmix")] + arms(4)
    effects = {"trivial": 0.1, "rand": 0.09, tried[4].policy: 0.03}
    search = searched(Made(effects), tried)
    assert search.found == f"trivial {tried[4].policy}"
    assert not any({"trivial", "rand"} <= set(gain.arm.policy.split()) for gain in search.results)


def test_an_augmenter_is_not_added_to_itself() -> None:
    usual = Arm("flip:horizontal + crop", "together", "flip crop")
    parts = [Arm("flip:horizontal", "geometric", "flip:horizontal"), Arm("crop", "geometric", "crop@0.5")]
    search = searched(Made({"flip": 0.1, "flip:horizontal": 0.09, "crop@0.5": 0.08}), [usual, *parts])
    assert search.found == "flip crop"
    assert not any("crop@0.5" in gain.arm.policy and "flip" in gain.arm.policy for gain in search.results)


def test_arms_are_augmenters_that_work_on_these_images() -> None:
    grey = {arm.name: arm for arm in single_arms((), grey=True, mixes=False)}
    colour = {arm.name for arm in single_arms((), grey=False, mixes=True)}
    assert {"flip:horizontal", "flip:vertical", "rotate", "noise:gaussian", "trivial"} <= set(grey)
    assert {"saturation", "mixup"} <= colour - set(grey)
    assert all(str(Policy.parse(arm.policy)) == arm.policy for arm in grey.values())
    stronger = at_strengths(grey["rotate"])
    assert [arm.strength for arm in stronger] == [0.25, 1.0]  # half is the default
    assert at_strengths(grey["flip:vertical"]) == []
    assert [arm.policy for arm in at_strengths(grey["trivial"])] == ["trivial:0.25", "trivial:0.5"]  # it is 1 already
    first = single_arms((), grey=True, mixes=False)[:9]
    assert [arm.policy for arm in first[:2]] == ["flip crop", "trivial"]
    assert len({arm.family for arm in first}) >= 8
    assert {arm.family for arm in single_arms(("noise",), grey=True, mixes=False)} == {"noise"}
    with pytest.raises(UsageError, match="no augmenter or family 'rotat'"):
        single_arms(("rotat",), grey=True, mixes=False)
