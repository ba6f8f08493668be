"""Choosing among candidates, and saying why."""

from __future__ import annotations

import numpy as np
import pytest
from dlkit_builtin.transfer.advice import Advice, Candidate, choose, hopeless, reasons
from dlkit_builtin.transfer.measure import Measurements
from dlkit_builtin.transfer.stages import StageEstimate
from dlkit_builtin.transfer.words import lines
from scipy.stats import ttest_rel


def candidate(strategy: str, right: list[float], **more: object) -> Candidate:
    return Candidate(strategy=strategy, scores=np.array(right, dtype=np.float64), **more)  # type: ignore[arg-type]


def measurements(**changes: object) -> Measurements:
    known = {
        "images": 100, "per_class": 20.0, "imbalance": 1.0, "confidence": 0.6, "information": 0.5, "best_stage": "top",
    }  # fmt: skip
    return Measurements(**{**known, **changes})  # type: ignore[arg-type]


def test_advantage_is_the_paired_t_statistic() -> None:
    random = np.random.default_rng(0)
    ours, theirs = random.normal(size=40), random.normal(size=40)
    mean, error = candidate("a", list(ours)).over(candidate("b", list(theirs)))
    assert mean / error == pytest.approx(ttest_rel(ours, theirs).statistic)


def test_only_images_that_both_saw_are_compared() -> None:
    nan = float("nan")
    mean, _ = candidate("a", [1, 1, 0, nan]).over(candidate("b", [0, 1, nan, 1]))
    assert mean == 0.5


def test_of_equals_the_cheapest_is_chosen() -> None:
    tied = [candidate(name, [1, 0, 1, 1]) for name in ("linear-probe", "mlp-head", "finetune")]
    assert choose(tied).strategy == "linear-probe"


def test_a_clear_winner_is_chosen_wherever_it_stands() -> None:
    worse, better = [0.0, 1.0] * 20, [1.0] * 39 + [0.0]
    for order in (("linear-probe", "finetune"), ("finetune", "linear-probe")):
        best = choose([candidate(order[0], worse), candidate(order[1], better)])
        assert best.strategy == order[1]


def test_an_advantage_within_the_noise_is_a_tie() -> None:
    base = [1.0, 0.0] * 25
    flipped = base.copy()
    flipped[1:20:2] = [1.0] * 10  # ten gained
    flipped[0:18:2] = [0.0] * 9  # nine lost: +2 points, standard error 8.8
    assert choose([candidate("linear-probe", base), candidate("lp-ft", flipped)]).strategy == "linear-probe"


def test_what_cannot_win_is_dropped_only_with_evidence() -> None:
    best = candidate("linear-probe", [1.0] * 30)
    assert hopeless(candidate("finetune", [1.0] * 15 + [0.0] * 15), best)
    assert not hopeless(candidate("finetune", [1.0] * 28 + [0.0] * 2), best)


@pytest.mark.parametrize(
    ("per_class", "confidence", "best_stage", "cell"),
    [
        (20, 0.6, "layer1", ("little", "similar")),
        (20, 0.2, "top", ("little", "different")),
        (500, None, "top", ("much", "similar")),
        (500, None, "layer2", ("much", "different")),
    ],
)
def test_cell_of_the_table(per_class: float, confidence: float | None, best_stage: str, cell: tuple[str, str]) -> None:
    found = measurements(per_class=per_class, confidence=confidence, best_stage=best_stage)
    assert (found.size, found.similarity) == cell


def test_words_mark_the_cell_and_name_every_candidate() -> None:
    probe, tuned = candidate("linear-probe", [1.0] * 9 + [0.0]), candidate("lp-ft", [float("nan")] * 10, note="Late.")
    stage = StageEstimate(stage="top", probe=0.9, probe_interval=(0.6, 1), neighbours=0.8, logme=0.1, h_score=None)
    advice = Advice(
        measurements=measurements(),
        stages=(stage,),
        candidates=(probe, tuned),
        choice="linear-probe",
        reasons=tuple(reasons(measurements(), (probe, tuned), probe, "accuracy")),
    )
    text = "\n".join(lines(advice))
    assert "→ linear classifier on the top" in text
    assert text.count("→") == 2  # the cell and the candidate
    assert "lp-ft          not tried: Late." in text
    assert "accuracy 0.900" in text
    assert max(map(len, lines(advice))) <= 100
    plain = advice.to_json()
    assert plain["candidates"][1]["value"] is None
    assert plain["measurements"]["size"] == "little"
