"""The advice as text: the textbook's table with the cell marked, the candidates, the reasons, the choice."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

from dlkit_builtin.transfer.advice import Advice
from dlkit_builtin.transfer.candidates import Candidate
from dlkit_builtin.transfer.catalog import CELLS, STRATEGIES, Similarity, Size

_WIDTH = 36
_SIZES: tuple[Size, ...] = ("little", "much")
_SIMILARITIES: tuple[Similarity, ...] = ("similar", "different")


def lines(advice: Advice) -> Iterator[str]:
    """What a terminal shows, line by line."""
    yield from table(advice)
    yield ""
    for reason in advice.reasons:
        yield from wrap(reason, 100, subsequent_indent="  ")
    yield ""
    yield from stages(advice)
    yield ""
    yield "By cross-validation, and the advantage over the linear probe to expect, in points:"
    for candidate in advice.candidates:
        yield _row(candidate, candidate.strategy == advice.choice, advice.expected.get(candidate.strategy, 0.0))
    yield ""
    yield f"Strategy: {advice.choice} ({STRATEGIES[advice.choice].words})"


def table(advice: Advice) -> Iterator[str]:
    """Size × similarity, the cell of this data marked with an arrow."""
    marked = (advice.measurements.size, advice.measurements.similarity)
    yield " " * 13 + "".join(f"{word:<{_WIDTH + 3}}" for word in ("similar to the source", "different")).rstrip()
    for size in _SIZES:
        cells = [
            wrap(("→ " if (size, similarity) == marked else "") + CELLS[size, similarity][0], _WIDTH)
            for similarity in _SIMILARITIES
        ]
        for number in range(max(map(len, cells))):
            texts = [cell[number] if number < len(cell) else "" for cell in cells]
            head = f"{size} data" if number == 0 else ""
            yield f"{head:<13}" + "".join(f"{text:<{_WIDTH + 3}}" for text in texts).rstrip()


def stages(advice: Advice) -> Iterator[str]:
    """What simple models make of each stage's features, the first stage first."""
    width = max(len("stage"), *(len(row.stage) for row in advice.stages))
    yield f"{'stage':<{width}}  linear probe            kNN    LogME  H-score"
    for row in advice.stages:
        low, high = row.probe_interval
        h_score = "" if row.h_score is None else f"{row.h_score:7.2f}"
        yield (
            f"{row.stage:<{width}}  {row.probe:.3f}  {low:5.3f} – {high:5.3f}  {row.neighbours:.3f}  {row.logme:6.3f}"
            f"  {h_score}"
        ).rstrip()


def _row(candidate: Candidate, chosen: bool, expected: float) -> str:
    plain = candidate.to_json()
    if plain["value"] is None:
        return f"  {candidate.strategy:<14} not tried: {candidate.note}"
    low, high = plain["interval"]
    mark = "→" if chosen else " "
    seconds = f"{candidate.seconds:6.0f} s" if candidate.seconds else "        "
    return (
        f"{mark} {candidate.strategy:<14} {candidate.value:.3f}  {low:.3f} – {high:.3f}"
        f"  on {plain['images']:>5,} images"
        f"{seconds}  expect {100 * expected:+5.1f}  {candidate.note}"
    ).rstrip()
