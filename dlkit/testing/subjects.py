"""What is checked: a card, and the plugin that brings it; light."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dlkit.card import Trial
from dlkit.discovery import KINDS, Plugin, Registry, registry
from dlkit.errors import PluginError, UsageError
from dlkit.hookspecs import LOGGER_HOOKS
from dlkit.options.suggest import did_you_mean
from dlkit.testing.checks import Kind

_SINGULAR: dict[str, Kind] = {
    "techniques": "technique",
    "augmenters": "augmenter",
    "datasets": "dataset",
    "backbones": "backbone",
    "exporters": "exporter",
}


@dataclass(frozen=True)
class Subject:
    """Something that a plugin brings.

    Attributes:
        kind: what it is.
        name: by which it is reached; a logger's is its entry point's.
        card: the card; None of a logger, which has none.
        plugin: who brings it.
    """

    kind: Kind
    name: str
    card: Any
    plugin: Plugin

    @property
    def trial(self) -> Trial:
        """How the card wants to be tried out."""
        found = getattr(self.card, "trial", None)
        return found if isinstance(found, Trial) else Trial()


def all_subjects(found: Registry | None = None) -> list[Subject]:
    """All that the installed plugins bring."""
    known = found or registry()
    subjects = [
        Subject(_SINGULAR[kind], name, card, known.origin(kind, name))
        for kind in KINDS
        for name, card in known.listed(kind).items()
    ]
    loggers = [
        Subject("logger", plugin.entry_point, None, plugin)
        for plugin in known.plugins
        if any(hasattr(getattr(plugin.module, hook, None), "dlkit_impl") for hook in LOGGER_HOOKS)
    ]
    return subjects + loggers


def subjects_named(name: str) -> list[Subject]:
    """What a name stands for: cards of that name; else what an entry point, or a distribution, brings.

    Raises:
        UsageError: nothing has that name.
        PluginError: the plugin of that name could not be loaded.
    """
    subjects = all_subjects()
    ways: tuple[Callable[[Subject], bool], ...] = (
        lambda each: each.name == name or f"{each.plugin.distribution}/{each.name}" == name,
        lambda each: each.plugin.entry_point == name,
        lambda each: _normal(each.plugin.distribution) == _normal(name),
    )
    for way in ways:
        found = [each for each in subjects if way(each)]
        if found:
            return found
    broken = [p for p in registry().problems() if name in (p.entry_point, p.distribution)]
    if broken:
        listed = "\n".join(f"- {each.reason}" for each in broken)
        raise PluginError(f"The plugin {name!r} brings nothing that could be checked:\n{listed}")
    known = {word for each in subjects for word in (each.name, each.plugin.entry_point, each.plugin.distribution)}
    raise UsageError(
        f"No installed plugin, and nothing that one brings, is called {name!r}.",
        did_you_mean(name, sorted(known)) or "`dlkit plugins` shows what is installed.",
    )


def _normal(distribution: str) -> str:
    """As packaging compares names: ``dlkit_rotation`` is ``dlkit-rotation``."""
    return distribution.lower().replace("_", "-").replace(".", "-")
