"""A race of strategies that train by gradients, fold by fold, under a budget of time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
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


def race(
    known: Sequence[Candidate],
    strategies: Sequence[str],
    parts: Sequence[Fold],
    try_out: TryOut,
    *,
    judge: Judge,
    budget: float,
    diary: Diary,
    say: Callable[[str], None],
) -> list[Candidate]:
    """Try strategies on one fold after the other; those that cannot win any more are not tried further.

    Args:
        known: candidates whose scores are complete, the cheapest first.
        strategies: those to try, the cheapest first.
        parts: the folds, the same ones by which ``known`` were estimated.
        try_out: does it.
        judge: says who cannot win any more.
        budget: seconds; the last trial may not be expected to end after it.
        diary: what was tried before.
        say: told what happens.

    Returns:
        All candidates, the cheapest first.
    """
    running = [Candidate(strategy=name, scores=np.full(len(known[0].scores), np.nan)) for name in strategies]
    stopped: set[str] = set()
    spent = 0.0
    for fold, (_, test) in enumerate(parts):
        for place, candidate in enumerate(running):
            everyone = [*known, *running]
            if candidate.strategy in stopped:
                continue
            reason = _reason_to_stop(candidate, everyone, judge, spent, budget, fold)
            if reason:
                stopped.add(candidate.strategy)
                running[place] = replace(candidate, note=reason)
                say(f"{candidate.strategy}: {reason}")
                continue
            scores, seconds = _trial(candidate.strategy, fold, try_out, diary)
            spent += seconds
            filled = candidate.scores.copy()
            filled[test] = scores
            running[place] = replace(candidate, scores=filled, seconds=candidate.seconds + seconds)
            say(f"{candidate.strategy}, fold {fold + 1} of {len(parts)}: {running[place].value:.3f} ({seconds:.0f} s)")
    return [*known, *running]


def _reason_to_stop(
    candidate: Candidate, everyone: Sequence[Candidate], judge: Judge, spent: float, budget: float, fold: int
) -> str:
    if judge.cannot_win(candidate, everyone):
        return f"Stopped after {_folds(fold)}: it cannot be expected to win." if fold else "It cannot win."
    expected = candidate.seconds / fold if fold else 0.0
    if spent + expected > budget:
        return f"The budget was spent after {_folds(fold)}." if fold else "The budget was spent before its turn."
    return ""


def _folds(count: int) -> str:
    return f"{count} fold{'' if count == 1 else 's'}"


def _trial(strategy: str, fold: int, try_out: TryOut, diary: Diary) -> tuple[list[float], float]:
    kept = diary.get(strategy, fold)
    if kept is not None:
        return kept
    start = time.perf_counter()
    scores = try_out(strategy, fold).tolist()
    seconds = time.perf_counter() - start
    diary.put(strategy, fold, scores, seconds)
    return scores, seconds
