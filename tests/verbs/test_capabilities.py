"""Which commands work on what, from cards alone."""

from __future__ import annotations

from typing import Any

import pytest

from dlkit.capabilities import NEEDS, commands_for, require, who
from dlkit.cli.main import VERBS
from dlkit.discovery import registry
from dlkit.errors import UsageError
from dlkit.technique import CAPABILITIES


def test_commands_follow_from_capabilities() -> None:
    assert commands_for([]) == []
    assert commands_for(["encode"]) == ["encode", "search", "cluster"]
    assert commands_for(["generate"]) == ["generate"]
    assert commands_for(["generate", "condition"]) == ["generate", "grid"]
    assert set(commands_for(["encode", "decode", "generate"])) == set(NEEDS)


def test_what_is_needed_exists() -> None:
    assert set(NEEDS) <= set(VERBS)
    assert {name for ways in NEEDS.values() for way in ways for name in way} <= {*CAPABILITIES, "condition"}


@pytest.mark.parametrize("name", sorted(registry().techniques))
def test_cards_promise_only_what_is_known_and_classes_keep_it(name: str) -> None:
    card = registry().technique(name)
    able = card.capabilities(card.options())
    assert able <= {*CAPABILITIES, "condition"}
    assert all(callable(getattr(card.load(), each)) for each in able - {"condition"})


def test_who_lacks_something_is_told_who_does_not(make: Any) -> None:
    run = make(can="encode")
    require(run, "encode")
    with pytest.raises(UsageError, match="A run of double does not decode and generate") as caught:
        require(run, "encode", "decode", "generate")
    assert "Techniques that encode and decode and generate: " in caught.value.hint
    assert who("fly") == "No installed technique can fly."
