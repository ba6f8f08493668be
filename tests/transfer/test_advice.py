"""Choosing among candidates, and saying why."""

from __future__ import annotations

import numpy as np
import pytest
from dlkit_builtin.transfer.advice import Advice, reasons
from dlkit_builtin.transfer.auto import _more_data
from dlkit_builtin.transfer.candidates import HANDICAP, TRUST, Candidate, Judge
from dlkit_builtin.transfer.measure import Measurements
from dlkit_builtin.transfer.stages import StageEstimate
from dlkit_builtin.transfer.words import lines
from scipy.stats import norm


def candidate(strategy: str, right: list[float], **more: object) -> Candidate:
    return Candidate(strategy=strategy, scores=np.array(right, dtype=np.float64), **more)  # type: ignore[arg-type]


def measurements(**changes: object) -> Measurements:
    known = {
        "images": 100, "per_class": 20.0, "imbalance": 1.0, "confidence": 0.6, "information": 0.5, "best_stage": "top",
    }  # fmt: skip
    return Measurements(**{**known, **changes})  # type: ignore[arg-type]


def judge(reference: Candidate, *named: str) -> Judge:
    return Judge(reference, named, per_class=25)


def test_advantage_is_that_of_the_pairs_with_one_won_and_one_lost_besides() -> None:
    random = np.random.default_rng(0)
    ours, theirs = random.normal(size=40), random.normal(size=40)
    mean, error = candidate("a", list(ours)).over(candidate("b", list(theirs)))
    pairs = np.concatenate([ours - theirs, [1, -1]])
    assert (mean, error) == pytest.approx((pairs.mean(), pairs.std() / np.sqrt(42)))


def test_only_images_that_both_saw_are_compared() -> None:
    nan = float("nan")
    mean, _ = candidate("a", [1, 1, 0, nan]).over(candidate("b", [0, 1, nan, 1]))
    assert mean == 1 / 4


def test_expectation_is_the_posterior_mean() -> None:
    """By quadrature: the prior times the likelihood of the observed mean."""
    probe, tuned = candidate("linear-probe", [1.0, 0.0] * 20), candidate("finetune", [1.0, 1.0, 1.0, 0.0] * 10)
    mean, error = tuned.over(probe)
    grid = np.linspace(-0.5, 0.5, 20001)
    for named, prior in (((), -HANDICAP / 5), (("finetune",), 0.0)):
        weight = norm.pdf(grid, prior, TRUST) * norm.pdf(mean, grid, error)
        assert judge(probe, *named).expected(tuned) == pytest.approx((grid * weight).sum() / weight.sum(), abs=1e-6)


def test_of_equals_the_cheapest_is_chosen() -> None:
    tied = [candidate(name, [1, 0, 1, 1]) for name in ("linear-probe", "mlp-head", "finetune")]
    assert judge(tied[0], "mlp-head", "finetune").choose(tied).strategy == "linear-probe"


def test_a_clear_winner_is_chosen_even_where_the_textbook_names_another() -> None:
    probe, tuned = candidate("linear-probe", [0.0, 1.0] * 40), candidate("finetune", [1.0] * 79 + [0.0])
    assert judge(probe, "linear-probe").choose([probe, tuned]).strategy == "finetune"


def test_a_few_images_do_not_overrule_the_textbook() -> None:
    """Two images out of ten, both right: no evidence at all, though the estimate is 100 %."""
    nan = float("nan")
    probe, tuned = candidate("linear-probe", [1.0, 0.0] * 5), candidate("finetune-top", [1.0, 1.0] + [nan] * 8)
    assert judge(probe, "linear-probe").choose([probe, tuned]).strategy == "linear-probe"


def test_who_cannot_win_is_known_before_the_end() -> None:
    nan = float("nan")
    probe = candidate("linear-probe", [1.0] * 95 + [0.0] * 5)
    hopeless = candidate("finetune", [0.0] * 10 + [1.0] * 10 + [nan] * 80)
    even = candidate("finetune", [1.0] * 20 + [nan] * 80)
    assert judge(probe).cannot_win(hopeless, [probe, hopeless])
    assert not judge(probe, "finetune").cannot_win(even, [probe, even])
    few = candidate("linear-probe", [1.0] * 9 + [0.0])
    untried = candidate("finetune", [nan] * 10)
    assert judge(few).cannot_win(untried, [few, untried])  # one image to win, against the handicap


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


@pytest.mark.parametrize(
    ("curve", "says"),
    [
        ([(11, 0.762, 0.02), (22, 0.964, 0.036)], "about 1.00"),  # 1.17 on the line
        ([(11, 0.60, 0.005), (22, 0.70, 0.005)], "about 0.80."),
        ([(11, 0.69, 0.02), (22, 0.70, 0.02)], "about 0.71, but the curve is within its error"),
        ([(11, 0.72, 0.02), (22, 0.70, 0.02)], "does not rise"),
    ],
)
def test_more_data_promises_no_more_than_there_is(curve: list[tuple[float, float, float]], says: str) -> None:
    assert says in _more_data(curve, "accuracy")


def test_the_comparison_is_the_plain_difference() -> None:
    one, two = candidate("linear-probe", [1, 1, 1, 0]), candidate("mlp-head", [1, 0, 1, 0])
    assert two.beside(one) == -0.25


def test_words_mark_the_cell_and_name_every_candidate() -> None:
    probe, tuned = candidate("linear-probe", [1.0] * 9 + [0.0]), candidate("lp-ft", [float("nan")] * 10, note="Late.")
    stage = StageEstimate(stage="top", probe=0.9, probe_interval=(0.6, 1), neighbours=0.8, logme=0.1, h_score=None)
    advice = Advice(
        measurements=measurements(),
        stages=(stage,),
        candidates=(probe, tuned),
        expected={"linear-probe": 0.0},
        choice="linear-probe",
        reasons=tuple(reasons(measurements(), (probe, tuned), probe, "accuracy")),
    )
    text = "\n".join(lines(advice))
    assert "→ linear classifier on the top" in text
    assert text.count("→") == 2  # the cell and the candidate
    assert "lp-ft          not tried: Late." in text
    assert "accuracy 0.900" in text
    assert "top    0.900  0.600 – 1.000  0.800   0.100" in text
    assert max(map(len, lines(advice))) <= 110
    plain = advice.to_json()
    assert plain["candidates"][1]["value"] is None
    assert plain["measurements"]["size"] == "little"
