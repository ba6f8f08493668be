"""The race: who is tried on which fold, when it stops, and that an interrupted one goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dlkit_builtin.transfer.candidates import Candidate, Judge
from dlkit_builtin.transfer.race import Diary, Race

PARTS = [(np.setdiff1d(np.arange(50), test), test) for test in np.array_split(np.arange(50), 5)]


class Tries:
    """Scores by fiat; remembers who was tried where."""

    def __init__(self, share: dict[str, float]) -> None:
        self.share, self.calls = share, list[tuple[str, int]]()

    def __call__(self, strategy: str, fold: int) -> np.ndarray:
        self.calls.append((strategy, fold))
        right = round(10 * self.share[strategy])
        return np.array([1.0] * right + [0.0] * (10 - right))


def known(share: float) -> list[Candidate]:
    right = round(10 * share)
    return [Candidate(strategy="linear-probe", scores=np.array(([1.0] * right + [0.0] * (10 - right)) * 5))]


def run(tries: Tries, share: float, *, budget: float = 1e9, diary: Diary | None = None) -> list[Candidate]:
    probes = known(share)
    race = Race(
        known=probes,
        parts=PARTS,
        try_out=tries,
        expected_seconds=lambda *_: 1.0,
        judge=Judge(probes[0], tuple(tries.share), 25),
        budget=budget,
        diary=diary or Diary(None, ""),
    )
    found = race.run(list(tries.share))
    return sorted(found, key=lambda candidate: candidate.strategy != "linear-probe")


def choice(found: list[Candidate]) -> str:
    return Judge(found[0], ("finetune", "lp-ft"), 25).choose(found).strategy


def tried(found: list[Candidate]) -> int:
    """Trials of strategies with gradients, at ten images a fold."""
    return sum(int(candidate.tried.sum()) // 10 for candidate in found[1:])


def test_the_better_one_wins_and_the_hopeless_one_is_dropped_early() -> None:
    tries = Tries({"finetune-top": 0.1, "finetune": 0.9})
    found = run(tries, 0.6)
    assert choice(found) == "finetune"
    assert [call for call in tries.calls if call[0] == "finetune"] == [("finetune", fold) for fold in range(5)]
    assert sum(call[0] == "finetune-top" for call in tries.calls) <= 2
    assert "cannot be expected to win" in next(c.note for c in found if c.strategy == "finetune-top")


def test_nothing_is_tried_where_there_is_nothing_to_win() -> None:
    tries = Tries({"finetune": 1.0})
    assert choice(run(tries, 1.0)) == "linear-probe"
    assert tries.calls == []


def test_no_budget_no_trial() -> None:
    tries = Tries({"finetune": 1.0})
    found = run(tries, 0.5, budget=0.5)
    assert tries.calls == []
    assert found[-1].note == "Not within the budget: a fold takes 1 s."
    assert choice(found) == "linear-probe"


def test_an_interrupted_race_goes_on_where_it_stood(tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    class Interrupted(Tries):
        def __call__(self, strategy: str, fold: int) -> np.ndarray:
            if len(self.calls) == 3:
                raise StopError
            return super().__call__(strategy, fold)

    path = tmp_path / "race.json"
    with pytest.raises(StopError):
        run(Interrupted({"lp-ft": 0.7, "finetune": 0.8}), 0.6, diary=Diary(path, "key"))
    rest = Tries({"lp-ft": 0.7, "finetune": 0.8})
    resumed = run(rest, 0.6, diary=Diary(path, "key"))
    whole = run(Tries({"lp-ft": 0.7, "finetune": 0.8}), 0.6)
    for ours, theirs in zip(resumed, whole, strict=True):
        np.testing.assert_array_equal(ours.scores, theirs.scores)
    assert tried(whole) - len(rest.calls) == 3


def test_a_diary_of_another_race_or_a_damaged_one_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "race.json"
    run(Tries({"finetune": 0.9}), 0.6, diary=Diary(path, "key"))
    assert Diary(path, "key").get("finetune", 0) is not None
    assert Diary(path, "other").get("finetune", 0) is None
    path.write_text('{"key": "key"')
    assert Diary(path, "key").get("finetune", 0) is None
