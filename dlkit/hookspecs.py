"""The hooks that a plugin may implement: all of dlkit's plugin interface on one page.

A plugin is a light module named by an entry point of the group ``dlkit.plugins``. It states the interface's
version and marks its hooks::

    from dlkit.hookspecs import hookimpl

    DLKIT_API = 1

    @hookimpl
    def dlkit_techniques():
        return [CARD]

Importing it must import nothing heavy (no torch, no NumPy): ``dlkit --help`` imports every plugin. What is heavy
stands in the modules that cards name as ``"package.module:attribute"``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

import pluggy

if TYPE_CHECKING:
    import click

    from dlkit.augment.card import AugmenterCard
    from dlkit.backbones.card import BackboneCard
    from dlkit.card import Card
    from dlkit.data.names import DatasetCard
    from dlkit.run import Run

hookspec = pluggy.HookspecMarker("dlkit")
hookimpl = pluggy.HookimplMarker("dlkit")
"""Marks a function of a plugin as the implementation of the hook of that name."""

LOGGER_HOOKS = ("dlkit_run_started", "dlkit_epoch_ended", "dlkit_run_ended")
"""The hooks that are told of trainings; the others bring cards."""


class Listed(Protocol):
    """What every card has, whatever it describes."""

    @property
    def name(self) -> str:
        """Unique among its kind; kebab-case."""
        ...

    @property
    def summary(self) -> str:
        """One line."""
        ...


@hookspec
def dlkit_techniques() -> Iterable[Card]:  # type: ignore[empty-body]
    """Ways of learning from images."""


@hookspec
def dlkit_augmenters() -> Iterable[AugmenterCard]:  # type: ignore[empty-body]
    """Ways of varying training images."""


@hookspec
def dlkit_datasets() -> Iterable[DatasetCard]:  # type: ignore[empty-body]
    """Data sets that ``--data`` can name."""


@hookspec
def dlkit_backbones() -> Iterable[BackboneCard]:  # type: ignore[empty-body]
    """Networks that turn images into features."""


@hookspec
def dlkit_exporters() -> Iterable[Listed]:  # type: ignore[empty-body]
    """Formats of ``dlkit export``."""


@hookspec
def dlkit_commands() -> Iterable[click.Command]:  # type: ignore[empty-body]
    """Commands of their own, beside dlkit's; their names must be free."""


@hookspec
def dlkit_run_started(run: Run) -> None:
    """A training begins or goes on; the run's directory and config exist."""


@hookspec
def dlkit_epoch_ended(run: Run, phase: str, metrics: Mapping[str, float]) -> None:
    """An epoch of a phase is over; ``metrics`` is the row that went to ``metrics.jsonl``."""


@hookspec
def dlkit_run_ended(run: Run) -> None:
    """A training is over and its report written."""
