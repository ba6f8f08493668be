from __future__ import annotations

import math
from dataclasses import replace

import pytest

from dlkit.metrics import Metric, Metrics
from dlkit.report.figures import clean, headline, judged, legend, number, strongest, time_span, verdict


def metric(value: float, better: str, interval: tuple[float, float] | None = None, **rest: object) -> Metric:
    fields = {"name": "m", "label": "M", "split": "test"} | rest
    return Metric(value=value, better=better, interval=interval, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (20.934, "20.93"), (0.0123456, "0.01235"), (12_300.4, "12,300"), (0.0, "0"), (-1.5, "−1.500"), (1.0, "1.000"),
        (1.25e-6, "1.25e-06"), (3e12, "3e+12"), (-2e-7, "−2e-07"), (math.nan, "NaN"), (math.inf, "∞"),
        (-math.inf, "−∞"), (999.96, "1,000"), (12_345.0, "12,345"), (98.3, "98.30"),
    ],
)  # fmt: skip
def test_number(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.84, "0.8 s"), (42, "42 s"), (59.7, "1 min 00 s"), (185, "3 min 05 s"), (7620, "2 h 07 min"), (-1, "?")],
)
def test_time_span(seconds: float, text: str) -> None:
    assert time_span(seconds) == text


@pytest.mark.parametrize(
    ("figure", "baseline", "expected"),
    [
        (metric(2, "higher"), 1, "better"),
        (metric(2, "lower"), 1, "worse"),
        (metric(2, "higher"), 2, "even"),
        (metric(2, "higher", (0.5, 3)), 1, "even"),
        (metric(2, "higher", (1.5, 3)), 1, "better"),
        (metric(math.nan, "higher"), 1, "unknown"),
        (metric(2, "lower"), math.nan, "unknown"),
    ],
)
def test_verdict(figure: Metric, baseline: float, expected: str) -> None:
    assert verdict(figure, baseline) == expected


def test_strongest_is_the_hardest_to_beat() -> None:
    baselines = {"a": 1.0, "b": 3.0, "c": math.nan}
    assert strongest(metric(2, "higher", baselines=baselines)) == ("b", 3.0)
    assert strongest(metric(2, "lower", baselines=baselines)) == ("a", 1.0)
    assert strongest(metric(2, "lower")) is None


def test_a_bound_is_no_rival() -> None:
    figure = metric(2, "lower", baselines={"a": 3.0, "genuine": 1.0}, bounds=("genuine",))
    assert judged(figure) == {"a": "better", "genuine": "bound"}
    assert strongest(figure) == ("a", 3.0)
    assert strongest(metric(2, "lower", baselines={"genuine": 1.0}, bounds=("genuine",))) is None
    assert "at best" in legend([figure])
    assert "at best" not in legend([metric(2, "lower", baselines={"a": 3.0})])
    assert "at best" not in legend([replace(figure, baselines={"a": 3.0})])  # a row of a comparison, say
    assert Metrics.from_json(Metrics((figure,)).to_json())[0] == figure


def test_headline_is_held_out_and_has_a_baseline() -> None:
    train = metric(1, "higher", split="train", baselines={"a": 1.0})
    alone, beside = metric(1, "higher"), metric(2, "higher", baselines={"a": 1.0})
    assert headline(Metrics((train, alone, beside))) is beside
    assert headline(Metrics((train,))) is train
    assert headline(Metrics(())) is None


def test_clean_keeps_every_script() -> None:
    for name in ("naïve", "猫", "σ × 3", "नमस्ते", "🦊", "می‌خواهم"):
        assert clean(name) == name
    assert clean("a\nb\tc", lines=True) == "a\nb\tc"
    assert clean("a\nb") == "a\\nb"
