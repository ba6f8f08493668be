"""Finding plugins: each entry point is loaded by itself and guarded, so that a broken one stops nothing else."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

from dlkit import hookspecs
from dlkit.card import Card
from dlkit.errors import UsageError
from dlkit.interface import wrong_api, wrong_hooks
from dlkit.options.suggest import did_you_mean

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint
    from types import ModuleType

GROUP = "dlkit.plugins"
NO_PLUGINS = "DLKIT_NO_PLUGINS"
"""Environment variable: set (and not 0), only the plugins that dlkit ships are loaded."""

KINDS = ("techniques", "datasets", "augmenters", "backbones", "exporters")
"""What plugins contribute, as ``dlkit list`` names it."""

BUILT_IN = "dlkit"
"""The distribution whose plugins win every clash of names and survive ``--no-plugins``."""

CORE_VERBS = frozenset(
    {"train", "list", "info", "plugins", "doctor", "completion", "evaluate", "predict", "encode", "export", "report",
     "resume", "runs", "data", "decode", "generate", "reconstruct", "classify", "segment", "search", "morph", "sample",
     "help", "version", "config", "cache", "grid", "cluster", "augment"}
)  # fmt: skip
"""Names that no technique may bear: the core's commands, present and foreseen (``dlkit NAME`` is a short form)."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Plugin:
    """An entry point that was loaded."""

    distribution: str
    version: str
    entry_point: str
    module: ModuleType = field(repr=False, compare=False)


@dataclass(frozen=True)
class PluginProblem:
    """Something that keeps (part of) a plugin from being used, and why."""

    distribution: str
    version: str
    entry_point: str
    reason: str


@dataclass(frozen=True)
class Registered:
    """A technique with where it comes from; ``card.name`` is the name by which it is reached."""

    card: Card
    distribution: str
    version: str
    entry_point: str


class Registry:
    """The plugins that work, what they contribute, and what is wrong with the others.

    Attributes:
        hook: pluggy's caller of the loggers' hooks: ``registry.hook.dlkit_run_started(run=run)``.
        plugins: what was loaded, built-ins first.
        techniques: name → technique; ``distribution/name`` for one whose name was taken.
    """

    def __init__(
        self, entry_points: Iterable[tuple[str, str, EntryPoint]], problems: Iterable[PluginProblem] = ()
    ) -> None:
        self._manager = pluggy.PluginManager("dlkit")
        self._manager.add_hookspecs(hookspecs)
        self.hook = self._manager.hook
        self.plugins: list[Plugin] = []
        self._problems: list[PluginProblem] = list(problems)
        self._listed: dict[str, dict[str, Any]] = {}
        self._origins: dict[tuple[str, str], Plugin] = {}
        for distribution, version, entry_point in entry_points:
            self._load(distribution, version, entry_point)
        self.techniques: Mapping[str, Registered] = self._techniques()

    def technique(self, name: str) -> Card:
        """The technique of that name, or of ``distribution/name``.

        Raises:
            UsageError: there is none.
        """
        found = self.techniques.get(name)
        if found is None:
            for registered in self.techniques.values():
                if f"{registered.distribution}/{registered.card.name}" == name:
                    return registered.card
            hint = did_you_mean(name, self.techniques) or "`dlkit list` shows the techniques."
            if self._problems:
                hint += " Some plugins could not be loaded: see `dlkit plugins`."
            raise UsageError(f"There is no technique {name!r}.", hint)
        return found.card

    def listed(self, kind: str) -> Mapping[str, hookspecs.Listed]:
        """The cards of a kind (one of ``KINDS``) by name."""
        if kind == "techniques":
            return {name: registered.card for name, registered in self.techniques.items()}
        if kind not in self._listed:
            cards = self._collect(f"dlkit_{kind}", _check_augmenter if kind == "augmenters" else _check_listed)
            self._listed[kind] = {name: card for name, card, _ in cards}
            self._origins |= {(kind, name): plugin for name, _, plugin in cards}
        return self._listed[kind]

    def origin(self, kind: str, name: str) -> Plugin:
        """The plugin that brings the card of a kind that :meth:`listed` has under that name."""
        if kind == "techniques":
            found = self.techniques[name]
            where = (found.distribution, found.entry_point)
            return next(each for each in self.plugins if (each.distribution, each.entry_point) == where)
        self.listed(kind)
        return self._origins[kind, name]

    def commands(self) -> Mapping[str, Any]:
        """The plugins' own click commands by name; those whose name is taken are left out and reported."""
        if "commands" not in self._listed:
            commands = self._collect("dlkit_commands", _check_command)
            self._listed["commands"] = {}
            for name, command, plugin in commands:
                if name in CORE_VERBS or name in self.techniques:
                    self._report(plugin, f"its command {name!r} takes a name that dlkit or a technique has")
                elif "/" not in name:
                    self._listed["commands"][name] = command
        return self._listed["commands"]

    def problems(self) -> list[PluginProblem]:
        """All that is wrong with the installed plugins, every hook's cards included."""
        from dlkit.settings import all_options

        for kind in KINDS:
            self.listed(kind)
        self.commands()
        found = list(self._problems)
        for registered in self.techniques.values():
            try:
                all_options(registered.card)
            except Exception as error:
                where = (registered.distribution, registered.version, registered.entry_point)
                found.append(PluginProblem(*where, str(error)))
        return found

    def _load(self, distribution: str, version: str, entry_point: EntryPoint) -> None:
        def failed(reason: str) -> None:
            self._problems.append(PluginProblem(distribution, version, entry_point.name, reason))

        module, error = _guarded(entry_point.load)
        if error or module is None:
            failed(f"importing {entry_point.value!r} failed: {error or 'it is None'}")
            return
        reason = wrong_api(module, distribution)
        if reason:
            failed(reason)
            return
        for reason in wrong_hooks(module):
            failed(reason)
        _, error = _guarded(lambda: self._manager.register(module, name=f"{distribution}:{entry_point.name}"))
        if error:
            failed(f"its hooks do not fit: {error}")
            return
        self.plugins.append(Plugin(distribution, version, entry_point.name, module))

    def _techniques(self) -> dict[str, Registered]:
        found = self._collect("dlkit_techniques", _check_card)
        return {
            name: Registered(
                card if name == card.name else replace(card, name=name),
                plugin.distribution,
                plugin.version,
                plugin.entry_point,
            )
            for name, card, plugin in found
        }

    def _collect(self, hook: str, check: Callable[[Any], str]) -> list[tuple[str, Any, Plugin]]:
        """Name, card and plugin of all that a hook yields, built-ins first; a later claim to a name is qualified."""
        found: dict[str, tuple[str, Any, Plugin]] = {}
        for plugin in self.plugins:
            function = getattr(plugin.module, hook, None)
            if not hasattr(function, "dlkit_impl"):
                continue
            cards, error = _guarded(lambda function=function: list(function()))  # type: ignore[misc]
            if error:
                self._report(plugin, f"{hook}() failed: {error}")
            for card in cards or ():
                reason, error = _guarded(lambda card=card: check(card))  # type: ignore[misc]
                if reason or error:
                    self._report(plugin, reason or f"{hook}() gave a card that cannot be read: {error}")
                    continue
                name = card.name
                if name in found:
                    qualified = f"{plugin.distribution}/{name}"
                    owner = found[name][2].distribution
                    self._report(plugin, f"{name!r} is already a name of {owner}'s; this one is {qualified!r}")
                    name = qualified
                found.setdefault(name, (name, card, plugin))
        return list(found.values())

    def _report(self, plugin: Plugin, reason: str) -> None:
        self._problems.append(PluginProblem(plugin.distribution, plugin.version, plugin.entry_point, reason))


def registry() -> Registry:
    """The registry of this process's installed plugins, made once for each state of ``DLKIT_NO_PLUGINS``."""
    return _registry(third_party=os.environ.get(NO_PLUGINS, "") in ("", "0"))


@cache
def _registry(third_party: bool) -> Registry:
    from importlib.metadata import entry_points  # costs 20 ms; no other reader handles every way of installing

    points, _ = _guarded(lambda: list(entry_points(group=GROUP)))
    problems: list[PluginProblem] = []
    if points is None:
        points, problems = _one_by_one()
    found = []
    for point in points:
        named, _ = _guarded(lambda e=point: (str(e.dist.name), str(e.dist.version)))  # type: ignore[misc]
        distribution, version = named or ("unknown", "unknown")
        if third_party or distribution == BUILT_IN:
            found.append((distribution, version, point))
    return Registry(sorted(found, key=lambda item: (item[0] != BUILT_IN, item[0], item[2].name)), problems)


def _one_by_one() -> tuple[list[EntryPoint], list[PluginProblem]]:
    """The entry points of each distribution by itself: one with broken metadata stops the reading of all."""
    from importlib.metadata import distributions

    points: dict[tuple[str, str], EntryPoint] = {}
    problems = []
    for distribution in distributions():
        found, reason = _guarded(lambda d=distribution: list(d.entry_points.select(group=GROUP)))  # type: ignore[misc]
        name, _ = _guarded(lambda d=distribution: str(d.name))  # type: ignore[misc]
        if found is None:
            problems.append(PluginProblem(name or "unknown", "unknown", "entry_points.txt", f"broken: {reason}"))
        for point in found or ():
            points.setdefault((name or "unknown", point.name), point)
    return list(points.values()), problems


def _guarded(action: Callable[[], _T]) -> tuple[_T | None, str]:
    """What the action returns, or what it raised; a stranger's module may even call sys.exit()."""
    try:
        return action(), ""
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return None, f"{type(error).__name__}: {error}"


def _check_listed(card: Any) -> str:
    if not isinstance(getattr(card, "name", None), str) or not isinstance(getattr(card, "summary", None), str):
        return f"expected a card with a name and a summary, got {card!r}"
    return ""


def _check_augmenter(card: Any) -> str:
    from dlkit.augment.card import AugmenterCard

    if not isinstance(card, AugmenterCard):
        return f"dlkit_augmenters() must yield dlkit.augment.AugmenterCard objects, got {card!r}"
    if not all(_NAME.fullmatch(word) for word in card.name.split(":")):
        return f"the augmenter's name {card.name!r} is not kebab-case (a-z, 0-9, hyphens; colons before a kind)"
    return ""


def _check_command(command: Any) -> str:
    import click

    return "" if isinstance(command, click.Command) and command.name else f"expected a click.Command, got {command!r}"


def _check_card(card: Any) -> str:
    if not isinstance(card, Card):
        return f"dlkit_techniques() must yield dlkit.card.Card objects, got {card!r}"
    if not isinstance(card.name, str) or not _NAME.fullmatch(card.name):
        return f"the technique's name {card.name!r} is not kebab-case (a-z, 0-9, single hyphens between)"
    if card.name in CORE_VERBS:
        return f"the technique's name {card.name!r} is a name of dlkit's own commands"
    return ""
