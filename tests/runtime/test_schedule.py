from __future__ import annotations

import math

import pytest
import torch
from torch.optim import lr_scheduler

from dlkit.options.values import SCHEDULES, Schedule
from dlkit.runtime.schedule import factor_at, warmup_at

CLOSED_FORMS = {
    "constant": lambda t: 1.0,
    "step:3": lambda t: 0.1 ** (t // 3),
    "exponential:0.97": lambda t: 0.97 ** int(t),
    "sqrt": lambda t: (1 - t / 10) ** 0.5,
    "inverse:2": lambda t: 1 / (1 + 2 * t),
    "exp:0.5": lambda t: math.e ** (-0.5 * t),
    "cosine": lambda t: 0.5 * (1 + math.cos(math.pi * t / 10)),
}


@pytest.mark.parametrize("text", CLOSED_FORMS)
def test_closed_forms(text: str) -> None:
    for quarter in range(40):
        time = quarter / 4
        assert factor_at(Schedule.parse(text), time, 10) == pytest.approx(CLOSED_FORMS[text](time), rel=1e-12)


@pytest.mark.parametrize(
    ("text", "make"),
    [
        ("step:3", lambda opt: lr_scheduler.StepLR(opt, 3, gamma=0.1)),
        ("exponential:0.9", lambda opt: lr_scheduler.ExponentialLR(opt, 0.9)),
        ("cosine", lambda opt: lr_scheduler.CosineAnnealingLR(opt, 10)),
    ],
)
def test_equals_torch_per_epoch(text: str, make: object) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(optimizer)  # type: ignore[operator]
    for epoch in range(10):
        assert factor_at(Schedule.parse(text), epoch, 10) == pytest.approx(scheduler.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        scheduler.step()


def test_one_cycle_equals_torch() -> None:
    # torch counts its steps from 0 to total - 1 and turns at 0.3 total - 1: off by one step from 0.3 of the whole
    total = 20_000
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=total)
    for step in range(total):
        ours = factor_at(Schedule("one-cycle"), step / total * 7, 7)
        assert ours == pytest.approx(scheduler.get_last_lr()[0], abs=3e-4)
        optimizer.step()
        if step < total - 1:
            scheduler.step()
    assert factor_at(Schedule("one-cycle"), 0, 7) == pytest.approx(1 / 25)
    assert factor_at(Schedule("one-cycle"), 2.1, 7) == pytest.approx(1)
    assert factor_at(Schedule("one-cycle"), 7, 7) == pytest.approx(1 / 250_000)


@pytest.mark.parametrize("name", [name for name in SCHEDULES if Schedule(name).has_horizon])
def test_stays_at_its_final_value(name: str) -> None:
    assert factor_at(Schedule(name), 25, 10) == factor_at(Schedule(name), 10, 10)


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_name_gives_a_factor(name: str) -> None:
    assert all(0 <= factor_at(Schedule.parse(name), time / 3, 4) <= 1 for time in range(12))


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(ValueError, match="zigzag"):
        factor_at(Schedule("zigzag"), 0, 1)


def test_warmup_is_linear_and_ends_whole() -> None:
    factors = [warmup_at(0.5, step / 10, 1 / 10) for step in range(7)]
    assert factors == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 1])
    assert warmup_at(0, 0, 0.1) == 1
