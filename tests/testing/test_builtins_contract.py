"""Everything that dlkit ships keeps the contract that strangers' plugins are held to."""

from __future__ import annotations

from collections.abc import Callable

from dlkit.testing import parametrize_with_checks


@parametrize_with_checks("dlkit")
def test_the_contract(check: Callable[[], None]) -> None:
    check()
