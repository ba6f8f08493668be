"""Configs, runs, manifests and names whose text is made to break what reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlkit.data.text import natural
from dlkit.errors import DataError, UsageError
from dlkit.files import read_json
from dlkit.run.reading import read_rows
from dlkit.settings import technique_of

DEEP = "[" * 100_000


@pytest.mark.parametrize("text", [f"x = {DEEP}", "x = " + "{a=" * 5000, "x = " + "9" * 5000, "\0", "x = '\ud800'"])
def test_configs(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.toml").write_text(text, errors="surrogatepass")
    with pytest.raises(UsageError, match=r"c\.toml"):
        technique_of(tmp_path / "c.toml", None)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", [DEEP, '{"a":' * 100_000, "9" * 5000, "\0"])
def test_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.json").write_text(text + "\n")
    with pytest.raises(DataError, match=r"c\.json"):
        read_json(tmp_path / "c.json")
    with pytest.raises(DataError, match=r"c\.json"):
        read_rows(tmp_path / "c.json")


@given(st.lists(st.text(), unique=True, max_size=8))
def test_any_names_have_an_order(names: list[str]) -> None:
    backwards = list(reversed(names))
    assert sorted(backwards, key=natural) == sorted(names, key=natural)


@given(st.lists(st.integers(0, 10**30), min_size=2, max_size=6))
def test_numbers_in_names_are_ordered_as_numbers(numbers: list[int]) -> None:
    names = [f"class {number}" for number in numbers]
    assert sorted(names, key=natural) == [f"class {number}" for number in sorted(numbers)]


@pytest.mark.parametrize("name", ["²", "①", "x²", "9" * 5000, "٣", "007", ""])
def test_digits_that_are_no_numbers(name: str) -> None:
    """A class folder named ``²`` ended in a traceback: it is a digit to Python, and no number."""
    assert sorted([name, "a"], key=natural)
