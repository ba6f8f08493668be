"""The contract that every plugin keeps, as checks that anybody can run.

``dlkit plugins check NAME`` runs them; in a package's own tests they are pytest items, one for each promise::

    from dlkit.testing import parametrize_with_checks

    @parametrize_with_checks("dlkit-rotation")
    def test_the_contract(check):
        check()

The name is a technique's (or another card's), an entry point's or a distribution's. What cannot hold is declared on
the card, with the reason: ``Card(…, trial=Trial(exceptions={"loss_falls": "two players, no common loss"}))``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlkit.lazy import loader

if TYPE_CHECKING:
    from dlkit.testing.checks import CHECKS, Check
    from dlkit.testing.items import Item, Outcome, items_of
    from dlkit.testing.marks import parametrize_with_checks
    from dlkit.testing.subjects import Subject, subjects_named

__all__ = ["CHECKS", "Check", "Item", "Outcome", "Subject", "items_of", "parametrize_with_checks", "subjects_named"]

__getattr__ = loader(
    __name__,
    {
        "CHECKS": "checks",
        "Check": "checks",
        "Item": "items",
        "Outcome": "items",
        "Subject": "subjects",
        "items_of": "items",
        "parametrize_with_checks": "marks",
        "subjects_named": "subjects",
    },
)
