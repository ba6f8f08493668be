"""A technique's command line, taken for what it says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dlkit.card import Card
from dlkit.cli.train_command import TechniqueCommand, flags_of
from dlkit.settings import Settings, resolve


def parse_settings(card: Card, words: Sequence[str]) -> Settings:
    """What a technique's command line resolves to, without ``dlkit train NAME`` before it.

    Raises:
        UsageError: a value that does not fit.
        click.ClickException: an option that there is not.
    """
    command = TechniqueCommand(card)
    raw = dict(command.make_context(card.name, list(words)).params)
    own = {str(parameter.name): raw.pop(str(parameter.name), None) for parameter in command.own}
    config = Path(str(own["config"])) if own["config"] else None
    return resolve(card, config=config, sets=own["sets"] or (), flags=flags_of(raw))
