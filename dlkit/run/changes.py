"""A run's settings, changed for going on with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from dlkit.errors import UsageError
from dlkit.judging.options import JudgeOptions
from dlkit.run.directory import CONFIG
from dlkit.settings import resolve

if TYPE_CHECKING:
    from dlkit.run.run import Run
    from dlkit.settings import Settings


def judged_by(run: Run, said: Mapping[str, object]) -> Run:
    """The run as if it had been told to judge generated images so (``features``, ``judged``…); nothing is written.

    Raises:
        UsageError: it generates nothing that is judged, or a value does not fit.
    """
    if not isinstance(run.settings.options, JudgeOptions):
        raise UsageError(
            f"{'--' + next(iter(said)).replace('_', '-')} says how generated images are judged; "
            f"{run.technique} generates nothing that is.",
            "It is for techniques that learn to generate, such as gan.",
        )
    other = type(run)(run.path)
    other.settings = resolve(run.settings.card, config=run.path / CONFIG, flags=said)
    return other


def changed(run: Run, changes: Mapping[str, object]) -> Settings:
    """The run's settings with the changed options, and the horizon of its schedule kept unless it is restated.

    Raises:
        UsageError: a change does not fit.
    """
    before = run.settings
    for name in ("epochs", "schedule"):
        if name in changes and not hasattr(before.options, "schedule_epochs"):
            raise UsageError(f"--{name}: a run of {before.card.name} cannot be trained for longer.", "Train a new run.")
    planned = getattr(before.options, "epochs", None)
    reached = {row.get("phase"): row.get("epoch", 0) for row in run.metrics()}
    # A phase with more epochs than --epochs is about has an option of its own for them.
    done = max((epoch for epoch in reached.values() if planned is None or epoch <= planned), default=0)
    if "schedule" in changes:
        changes = {"schedule_epochs": changes.get("epochs", planned), **changes}
    elif "epochs" in changes:
        changes = {"schedule_epochs": getattr(before.options, "schedule_epochs", None) or planned, **changes}
    settings = resolve(before.card, config=run.path / CONFIG, flags=changes)
    if "epochs" in changes and settings.options.epochs < done:
        raise UsageError(
            f"--epochs {settings.options.epochs}: {run.name} has been trained for {done} epochs already.",
            "TOTAL counts from the beginning of the run; name more than that, or train a new run.",
        )
    # The same number of threads adds numbers in the same order, so that the result is the same to the bit.
    processes = settings.runtime.devices * settings.runtime.nodes
    like_now = [session for session in run.environments if session.get("processes", 1) == processes]
    threads = settings.runtime.threads or next((session.get("threads") for session in like_now), None)
    return dataclasses.replace(settings, runtime=dataclasses.replace(settings.runtime, threads=threads))
