"""Did-you-mean: one way of suggesting for keys, choices, commands and names."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """``"Did you mean 'epochs'?"``, or an empty string where nothing is close."""
    import difflib

    known = {candidate.lower(): candidate for candidate in candidates}
    close = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return f"Did you mean {known[close[0]]!r}?" if close else ""
