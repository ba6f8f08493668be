from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlkit.errors import UsageError
from dlkit.options import (
    DataOptions,
    Option,
    Options,
    RunOptions,
    RuntimeOptions,
    TrainOptions,
    coerce,
    option,
    options_of,
    to_plain,
    to_text,
)
from dlkit.options.values import MOST_SIDE, SCHEDULES, Duration, Fold, LabelBudget, Schedule, Size


@dataclass(frozen=True, kw_only=True)
class Every(Options):
    """Every kind of option."""

    whole: int = option(3, "A number.", min=1, max=9)
    rate: float = option(0.1, "A number.", min=0, max=1, exclusive=True)
    maybe: float | None = option(None, "A number or none.", min=-2)
    text: str = option("a", "Text.")
    note: str | None = option(None, "Text or none.")
    yes: bool = option(False, "A switch.")
    three: bool | None = option(None, "A switch with a third state.")
    pick: Literal["none", "high", "low"] = option("none", "A choice; none is one of them.")
    layers: tuple[int, ...] = option((5, 3), "Numbers.", min=1)
    names: tuple[str, ...] | None = option(None, "Texts or none.")
    picks: tuple[Literal["a", "b"], ...] = option((), "Choices.")
    sizes: tuple[Size, ...] = option((), "Sizes.")
    noise: Schedule | None = option(None, "Anything with a syntax.", bare="step:7")


def _numbers(one: Option) -> st.SearchStrategy[Any]:
    if one.type is int:
        low, high = one.min if one.min is not None else -(10**17), one.max if one.max is not None else 10**17
        return st.integers(int(low), int(high))
    return st.floats(
        one.min,
        one.max,
        allow_nan=False,
        allow_infinity=False,
        exclude_min=one.exclusive and one.min is not None,
        exclude_max=one.exclusive and one.max is not None,
    )


_positive = st.floats(1e-300, 1e300)
_with_number = ("step", "exponential", "inverse", "exp")
_parsed: dict[type, st.SearchStrategy[Any]] = {
    Size: st.builds(Size, st.integers(1, MOST_SIDE), st.integers(1, MOST_SIDE)),
    Fold: st.integers(2, 10**6).flatmap(lambda count: st.builds(Fold, st.integers(1, count), st.just(count))),
    LabelBudget: st.builds(LabelBudget, st.integers(2, 10**17)) | st.builds(LabelBudget, st.none(), st.floats(1e-4, 1)),
    Duration: st.builds(Duration, st.floats(0, 1e18)),
    Schedule: st.builds(Schedule, st.sampled_from(_with_number), _positive)
    | st.sampled_from([Schedule(name) for name in SCHEDULES if name not in _with_number]),
}


def values(one: Option) -> st.SearchStrategy[Any]:
    text = st.text(st.characters(exclude_categories=["Cs"])).filter(lambda word: word != "none")
    if one.choices:
        single: st.SearchStrategy[Any] = st.sampled_from(one.choices)
    elif one.type in (int, float):
        single = _numbers(one)
    else:
        single = _parsed[one.type] if one.type in _parsed else {str: text, bool: st.booleans()}[one.type]
    whole = st.lists(single, max_size=4).map(tuple) if one.many else single
    return whole | st.none() if one.optional else whole


ALL = [one for cls in (Every, DataOptions, RuntimeOptions, RunOptions, TrainOptions) for one in options_of(cls)]


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_plain_values_read_back_equal(one: Option, data: st.DataObject) -> None:
    value = data.draw(values(one))
    assert coerce(one, to_plain(one, value), "here") == value
    assert coerce(one, value, "here") == value  # typed values pass unchanged


@pytest.mark.parametrize("one", [one for one in ALL if not (one.many and one.type is str)], ids=lambda one: one.name)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_flags_read_back_equal(one: Option, data: st.DataObject) -> None:
    value = data.draw(values(one))
    assert coerce(one, to_text(one, value), "here") == value


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_defaults_are_values(one: Option) -> None:
    assert coerce(one, one.default, "here") == one.default


BY_NAME = {one.name: one for one in ALL}


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("whole", " 4 ", 4),
        ("whole", np.int64(4), 4),
        ("rate", "5e-1", 0.5),
        ("rate", np.float32(0.5), 0.5),
        ("maybe", 1, 1.0),
        ("maybe", "none", None),
        ("yes", "on", True),
        ("yes", "false", False),
        ("three", "none", None),
        ("pick", "none", "none"),
        ("layers", "7", (7,)),
        ("layers", 7, (7,)),
        ("layers", [7, "8"], (7, 8)),
        ("layers", "", ()),
        ("names", "a, b", ("a", "b")),
        ("noise", True, Schedule("step", 7.0)),
        ("noise", False, None),
        ("noise", "cosine", Schedule("cosine")),
        ("image_size", 32, Size(32, 32)),
        ("image_size", "4x5", Size(4, 5)),
        ("channels", 3, "3"),
        ("max_time", 90, Duration(90.0)),
        ("data", Path("a/b"), "a/b"),
    ],
)
def test_what_people_write(name: str, raw: object, value: object) -> None:
    assert coerce(BY_NAME[name], raw, "here") == value


@pytest.mark.parametrize(
    ("name", "raw", "expected"),
    [
        ("whole", "x", "a whole number between 1 and 9"),
        ("whole", 3.0, "whole number"),
        ("whole", True, "whole number"),
        ("whole", 10, "between 1 and 9"),
        ("whole", None, "got none"),
        ("whole", "9" * 5000, "whole number"),
        ("whole", "1_0", "whole number"),
        ("rate", 1, "both excluded"),
        ("rate", "nan", "a number"),
        ("rate", math.inf, "a number"),
        ("rate", 10**400, "a number"),
        ("maybe", -3, "a number of at least -2, or none"),
        ("maybe", {}, "a number"),
        ("yes", "maybe", "true or false"),
        ("yes", 2, "true or false"),
        ("pick", "hihg", "one of"),
        ("pick", True, "one of none, high, low"),
        ("layers", "4,0", "whole numbers of at least 1, separated by commas"),
        ("layers", True, "whole numbers"),
        ("picks", "a,c", "any of a, b"),
        ("text", 5, "text"),
        ("text", ["a"], "text"),
        ("text", "\udcff", "UTF-8"),
        ("noise", "linear", "expected one of constant"),
        ("noise", [1], "or none"),
        ("image_size", 0, "size"),
        ("image_size", True, "N|HxW"),
        ("max_time", "1e999", "time span"),
    ],
)
def test_refusals_name_place_value_and_expectation(name: str, raw: object, expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        coerce(BY_NAME[name], raw, "run.toml: it")
    assert str(caught.value).startswith("run.toml: it: ")
    assert expected in str(caught.value)


def test_a_choice_is_suggested() -> None:
    with pytest.raises(UsageError, match="Did you mean 'high'"):
        coerce(BY_NAME["pick"], "hihg", "--pick")


def test_declarations_that_cannot_work_are_refused() -> None:
    for hint, extra in [
        (dict[str, int], {}),
        (Literal["none", "x"] | None, {}),
        (bool | None, {"bare": "true"}),
        (int, {"bare": "3"}),
        (int | str, {}),
    ]:
        cls = type("Odd", (Options,), {"__annotations__": {"x": hint}, "x": option(None, "Odd.", **extra)})
        with pytest.raises(TypeError):
            options_of(dataclass(frozen=True, kw_only=True)(cls))
    plain = type("Plain", (Options,), {"__annotations__": {"x": int}, "x": field(default=1)})
    with pytest.raises(TypeError, match="option"):
        options_of(dataclass(frozen=True, kw_only=True)(plain))
