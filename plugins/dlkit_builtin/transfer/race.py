"""A race of strategies that train by gradients, fold by fold, under a budget of time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlkit.errors import DataError
from dlkit.files import read_json, write_json
from dlkit.probes.folds import Fold
from dlkit_builtin.transfer.candidates import Candidate, Judge

TryOut = Callable[[str, int], NDArray[np.float64]]
"""``try_out(strategy, fold)`` trains on the fold's training images and gives the scores of its others."""


class Diary:
    """Scores that were found, kept in a file, so that a race that was interrupted goes on where it stood.

    Args:
        path: the file; None: nothing is kept.
        key: what the scores depend on; a diary of another race is not read.
    """

    def __init__(self, path: Path | None, key: str) -> None:
        self._path, self._key = path, key
        self._entries: dict[str, dict[str, Any]] = {}
        if path is not None and path.is_file():
            try:
                kept = read_json(path)
                self._entries = kept["entries"] if kept["key"] == key else {}
            except (DataError, KeyError, TypeError):
                self._entries = {}  # damaged: the race is run again

    def get(self, strategy: str, fold: int) -> tuple[list[float], float] | None:
        """Scores and seconds."""
        entry = self._entries.get(f"{strategy}/{fold}")
        return None if entry is None else (entry["scores"], entry["seconds"])

    def put(self, strategy: str, fold: int, scores: list[float], seconds: float) -> None:
        """Keep them."""
        self._entries[f"{strategy}/{fold}"] = {"scores": scores, "seconds": seconds}
        if self._path is not None:
            write_json(self._path, {"key": self._key, "entries": self._entries})


@dataclass
class Race:
    """Strategies are tried on one fold after the other; those that cannot win any more are tried no further.

    Attributes:
        known: candidates whose scores are complete, the cheapest first.
        parts: the folds, the same ones by which ``known`` were estimated.
        try_out: does it.
        expected_seconds: of a strategy's first trial; later ones are expected to take as long as it did.
        judge: says who cannot win any more.
        budget: seconds; no trial begins that is expected to end after it.
        diary: what was tried before.
        say: told what happens.
    """

    known: Sequence[Candidate]
    parts: Sequence[Fold]
    try_out: TryOut
    expected_seconds: Callable[[str, int], float]
    judge: Judge
    budget: float
    diary: Diary
    say: Callable[[str], None] = lambda _: None
    spent: float = 0.0

    def run(self, strategies: Sequence[str]) -> list[Candidate]:
        """Race them, the cheapest first; all candidates, ``known`` first."""
        running = [Candidate(strategy=name, scores=np.full(len(self.known[0].scores), np.nan)) for name in strategies]
        stopped: set[str] = set()
        for fold in range(len(self.parts)):
            for place, candidate in enumerate(running):
                if candidate.strategy in stopped:
                    continue
                reason = self._reason_to_stop(candidate, [*self.known, *running], fold)
                if reason:
                    stopped.add(candidate.strategy)
                    running[place] = replace(candidate, note=reason)
                    self.say(f"{candidate.strategy}: {reason}")
                else:
                    running[place] = self._tried(candidate, fold)
        return [*self.known, *running]

    def _reason_to_stop(self, candidate: Candidate, everyone: Sequence[Candidate], fold: int) -> str:
        after = f"{fold} fold{'' if fold == 1 else 's'}"
        if self.judge.cannot_win(candidate, everyone):
            return f"Stopped after {after}: it cannot be expected to win." if fold else "It cannot win."
        if self.diary.get(candidate.strategy, fold) is not None:
            return ""
        due = candidate.seconds / fold if fold else self.expected_seconds(candidate.strategy, fold)
        if self.spent + due <= self.budget:
            return ""
        return f"The budget was spent after {after}." if fold else f"Not within the budget: a fold takes {due:.0f} s."

    def _tried(self, candidate: Candidate, fold: int) -> Candidate:
        """The candidate with its scores on one fold more."""
        kept = self.diary.get(candidate.strategy, fold)
        if kept is None:
            start = time.perf_counter()
            scores = self.try_out(candidate.strategy, fold).tolist()
            seconds = time.perf_counter() - start
            self.diary.put(candidate.strategy, fold, scores, seconds)
        else:
            scores, seconds = kept
        self.spent += seconds
        filled = candidate.scores.copy()
        filled[self.parts[fold][1]] = scores
        after = replace(candidate, scores=filled, seconds=candidate.seconds + seconds)
        self.say(f"{after.strategy}, fold {fold + 1} of {len(self.parts)}: {after.value:.3f} ({seconds:.0f} s)")
        return after
