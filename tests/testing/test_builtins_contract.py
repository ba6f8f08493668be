"""Every technique that dlkit ships keeps the contract that strangers' plugins are held to."""

from __future__ import annotations

from collections.abc import Callable

from dlkit.discovery import BUILT_IN, registry
from dlkit.testing import parametrize_with_checks

TECHNIQUES = [name for name, each in registry().techniques.items() if each.distribution == BUILT_IN]


@parametrize_with_checks(*TECHNIQUES)
def test_the_contract(check: Callable[[], None]) -> None:
    check()
