"""The learning rate over time; pure arithmetic, no torch."""

from __future__ import annotations

import math

from dlkit.options.values import Schedule

_ONE_CYCLE_START, _ONE_CYCLE_END, _ONE_CYCLE_RISE = 1 / 25, 1 / 250_000, 0.3


def factor_at(schedule: Schedule, time: float, horizon: float) -> float:
    """The factor on the learning rate ``time`` epochs after the start (formulas: :class:`Schedule`).

    Args:
        schedule: name and number.
        time: epochs done, a fraction within an epoch.
        horizon: T in epochs, for the schedules that have one; beyond it the factor stays at its final value.
    """
    fraction, number = min(time / horizon, 1.0), schedule.value
    match schedule.name:
        case "constant":
            return 1.0
        case "step":
            return 0.1 ** math.floor(time / number)
        case "exponential":
            return number ** math.floor(time)
        case "sqrt":
            return math.sqrt(1 - fraction)
        case "inverse":
            return 1 / (1 + number * time)
        case "exp":
            return math.exp(-number * time)
        case "cosine":
            return _cosine(1.0, 0.0, fraction)
        case "one-cycle":
            return _one_cycle(fraction)
    raise ValueError(f"no schedule {schedule.name!r}")


def warmup_at(warmup: float, time: float, step: float) -> float:
    """Linear warm-up over ``warmup`` epochs, on top of the schedule: ``min(1, (time + step) / warmup)``.

    ``step`` is one update in epochs: the first update moves already, the one that completes ``warmup`` is whole.
    """
    return min(1.0, (time + step) / warmup) if warmup > 0 else 1.0


def _one_cycle(fraction: float) -> float:
    if fraction < _ONE_CYCLE_RISE:
        return _cosine(_ONE_CYCLE_START, 1.0, fraction / _ONE_CYCLE_RISE)
    return _cosine(1.0, _ONE_CYCLE_END, (fraction - _ONE_CYCLE_RISE) / (1 - _ONE_CYCLE_RISE))


def _cosine(start: float, end: float, fraction: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2
