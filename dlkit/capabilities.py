"""Which command needs which capabilities, and who has them; from cards alone, light."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from dlkit.discovery import registry
from dlkit.errors import UsageError

if TYPE_CHECKING:
    from dlkit.run import Run

NEEDS: Mapping[str, tuple[frozenset[str], ...]] = {
    "encode": (frozenset({"encode"}),),
    "decode": (frozenset({"decode"}), frozenset({"draw"})),
    "generate": (frozenset({"generate"}),),
    "morph": (frozenset({"encode", "decode"}), frozenset({"draw"})),
    "grid": (frozenset({"encode", "decode"}), frozenset({"generate", "condition"}), frozenset({"draw"})),
    "search": (frozenset({"encode"}),),
    "cluster": (frozenset({"encode"}),),
}
"""Command → the sets of capabilities (:mod:`dlkit.technique`) of which one is enough."""


def commands_for(capabilities: Iterable[str]) -> list[str]:
    """The commands that work on a run with these capabilities."""
    has = frozenset(capabilities)
    return [command for command, ways in NEEDS.items() if any(way <= has for way in ways)]


def capabilities_of(run: Run) -> frozenset[str]:
    """What the run can do, with the options that it was trained with."""
    return run.settings.card.capabilities(run.settings.options)


def require(run: Run, *capabilities: str) -> None:
    """See that a run can do all of this.

    Raises:
        UsageError: it cannot; the hint names the techniques that can.
    """
    lacking = [capability for capability in capabilities if capability not in capabilities_of(run)]
    if lacking:
        raise UsageError(f"A run of {run.technique} does not {' and '.join(lacking)}.", who(*capabilities))


def who(*capabilities: str) -> str:
    """A sentence that names the techniques which, with default options, can do all of this."""
    wanted = frozenset(capabilities)
    cards = {name: registered.card for name, registered in registry().techniques.items()}
    able = [name for name, card in cards.items() if wanted <= card.capabilities(card.options())]
    what = " and ".join(capabilities)
    return f"Techniques that {what}: {', '.join(able)}." if able else f"No installed technique can {what}."
