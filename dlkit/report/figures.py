"""How a figure is written and judged beside its baselines: one place for tables, report and plots; light."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable
from typing import Literal

from dlkit.metrics import Metric, Metrics

Verdict = Literal["better", "worse", "even", "unknown", "bound"]

MARKS: dict[Verdict, str] = {"better": "✓", "worse": "✗", "even": "≈", "unknown": "?", "bound": "·"}
ARROWS = {"higher": "↑", "lower": "↓"}
LEGEND = "✓ better than the baseline, ✗ worse, ≈ equal or within the 95 % interval; ↑ higher is better, ↓ lower"
_BOUND = "· what can be reached at best, no rival"


def legend(metrics: Iterable[Metric]) -> str:
    """What the marks beside these figures mean."""
    return f"{LEGEND}; {_BOUND}" if any("bound" in judged(metric).values() for metric in metrics) else LEGEND


def number(value: float) -> str:
    """Four significant digits, thousands grouped: ``20.93``, ``0.01234``, ``12,300``, ``1.2e-06``."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    size = abs(float(f"{value:.4g}"))  # 999.96 has the decimals of 1000
    if size >= 1e9 or 0 < size < 1e-4:
        return f"{value:.3g}".replace("-", "−", 1) if value < 0 else f"{value:.3g}"
    decimals = 0 if size >= 1000 or size == 0 else 3 - math.floor(math.log10(size))
    text = f"{value:,.{min(decimals, 6)}f}"
    return text.replace("-", "−")


def with_unit(value: float, unit: str) -> str:
    """``20.93 dB``; the bare number where there is no unit."""
    return f"{number(value)} {unit}" if unit else number(value)


def between(metric: Metric) -> str:
    """The interval as ``20.71 – 21.15``, or an empty text where there is none."""
    return "" if metric.interval is None else f"{number(metric.interval[0])} – {number(metric.interval[1])}"


def verdict(metric: Metric, baseline: float) -> Verdict:
    """How the metric's value compares to a baseline's.

    ``even``: equal, or the baseline lies within the value's 95 % interval; ``unknown``: one is not a number.
    """
    if math.isnan(metric.value) or math.isnan(baseline):
        return "unknown"
    if metric.value == baseline:
        return "even"
    if metric.interval is not None and metric.interval[0] <= baseline <= metric.interval[1]:
        return "even"
    return "better" if (metric.value > baseline) == (metric.better == "higher") else "worse"


def judged(metric: Metric) -> dict[str, Verdict]:
    """Each baseline's name → :func:`verdict`, or ``bound`` where it is one."""
    return {
        name: "bound" if name in metric.bounds else verdict(metric, value) for name, value in metric.baselines.items()
    }


def strongest(metric: Metric) -> tuple[str, float] | None:
    """The baseline that is hardest to beat, as (name, value); None without baselines that are to be beaten."""
    rated = [(name, value) for name, value in metric.baselines.items()
             if not math.isnan(value) and name not in metric.bounds]  # fmt: skip
    if not rated:
        return None
    choose = max if metric.better == "higher" else min
    return choose(rated, key=lambda pair: pair[1])


def headline(metrics: Metrics) -> Metric | None:
    """The figure to name first: on the split that is furthest from training, one with baselines before one without."""
    order = ("test", "val", "train")
    ranked = sorted(
        metrics, key=lambda metric: (order.index(metric.split) if metric.split in order else 3, not metric.baselines)
    )
    return ranked[0] if ranked else None


def time_span(seconds: float) -> str:
    """``0.8 s``, ``42 s``, ``3 min 05 s``, ``2 h 07 min``."""
    if not math.isfinite(seconds) or seconds < 0:
        return "?"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def clean(text: object, *, lines: bool = False) -> str:
    r"""Text that cannot command a terminal: control and direction-changing characters are shown as ``\x1b``.

    Names of files and classes are user data: they may hold escape codes, line breaks, bidirectional
    overrides, or (from file names that are not UTF-8) lone surrogates, which no stream can encode.

    Args:
        text: anything; ``str()`` of it is used.
        lines: keep line breaks and tabs.
    """
    text = str(text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(character, lines) for character in text)


def _visible(character: str, lines: bool) -> str:
    if lines and character in "\n\t":
        return character
    # Cc: control; Cf: format (bidirectional overrides, zero-width); Cs: surrogates; Zl, Zp: line separators
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in "\u200c\u200d":
        return character.encode("unicode_escape", "backslashreplace").decode("ascii")
    return character
