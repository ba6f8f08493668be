"""Listens to trainings. Every `dlkit` command imports this module, so TensorBoard is imported when a training begins.

A hook that raises is reported once, and the training goes on: nobody loses a run because of its log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dlkit.hookspecs import hookimpl

if TYPE_CHECKING:
    from dlkit.run import Run

DLKIT_API = 1


@hookimpl
def dlkit_run_started(run: Run) -> None:
    """A training begins or goes on."""
    from dlkit_tensorboard.board import begin

    begin(run)


@hookimpl
def dlkit_epoch_ended(run: Run, phase: str, metrics: Mapping[str, float]) -> None:
    """The figures of an epoch."""
    from dlkit_tensorboard.board import board

    board(run).epoch(run, phase, metrics)


@hookimpl
def dlkit_run_ended(run: Run) -> None:
    """What the training came to."""
    from dlkit_tensorboard.board import board

    board(run).conclude(run)
