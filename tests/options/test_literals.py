from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlkit.options.literals import literal, shortest


@given(st.floats(allow_nan=False))
def test_no_number_is_changed_by_its_text(number: float) -> None:
    assert float(shortest(number)) == number


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), (" 0.5 ", 0.5), ("'3'", "3"), ("(1, 2)", (1, 2)), ("TRUE", True), ("none", None), ("same", "same"),
     ("1+1", "1+1"), ("__import__('os')", "__import__('os')")],
)  # fmt: skip
def test_what_reads_as_a_literal_is_one(text: str, value: Any) -> None:
    assert literal(text) == value


@pytest.mark.parametrize("text", ["-" * 3000 + "1", "-" * 100_000 + "1", "[" * 5000, "9" * 5000, "\0"])
def test_texts_of_strangers_are_texts_at_worst(text: str) -> None:
    assert literal(text) == text
