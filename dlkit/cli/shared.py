"""What the verbs on a run share: the RUN argument, where runs are looked for, how results are shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from dlkit import ranks
from dlkit.files import user_path

if TYPE_CHECKING:
    from dlkit.display import Display
    from dlkit.repeats import Repeats
    from dlkit.run import Run
    from dlkit.runtime import Runtime

F = TypeVar("F", bound=Callable[..., Any])

RUNS = click.option("--runs", default="runs", metavar="DIR", show_default=True, help="Directory that holds the runs.")
DEVICE = click.option("--device", metavar="DEVICE", help="auto, cpu, cuda, cuda:1, mps; by default as in training.")


def run_argument(command: F) -> F:
    """Add the argument RUN (a path, a name or ``latest``) and ``--runs``."""
    argument = click.argument("run", metavar="RUN", shell_complete=_complete_run)
    return argument(RUNS(command))


def output_flags(command: F) -> F:
    """Add ``--quiet`` and ``--json``."""
    quiet = click.option("--quiet", is_flag=True, help="No progress, no remarks.")
    as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")
    return quiet(as_json(command))


def opened(reference: str, runs: str) -> Run:
    """The run that the argument names (heavy import)."""
    from dlkit.run import open_run

    return open_run(reference, user_path(runs))


def make_display(quiet: bool, as_json: bool) -> Display:
    """The command's display; of several processes that torchrun starts only the first shows anything."""
    from dlkit.display import Display

    return Display(quiet=quiet, json=as_json, mute=ranks.rank() > 0)


def make_runtime(run: Run, device: str | None, display: Display, seed: int | None = None) -> Runtime:
    """A runtime with the run's options, perhaps on another device or with another seed."""
    import dataclasses

    from dlkit.runtime import Runtime

    changes: dict[str, Any] = {name: value for name, value in (("device", device), ("seed", seed)) if value is not None}
    return Runtime(dataclasses.replace(run.settings.runtime, **changes), display)


def _complete_run(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from dlkit.run.directory import list_runs

    names = ["latest", *(path.name for path in list_runs(Path(ctx.params.get("runs") or "runs")))]
    paths = [CompletionItem(incomplete, type="dir")] if "/" in incomplete else []
    return [*(CompletionItem(name) for name in names if name.startswith(incomplete)), *paths]


def show_repeats(repeats: Repeats, display: Display) -> None:
    """What several trainings end with: the figures over all, each run's own, and where the report is."""
    report = repeats.runs[-1].path / "report.html"
    display.text(f"{repeats.title}. {repeats.note}")
    display.metrics_table(repeats.figures)
    for table in repeats.figures.tables:
        display.table(table.rows, table.title)
    display.text(f"Report: {report}")
    display.result(
        {
            "runs": [run.path for run in repeats.runs],
            "report": report,
            "title": repeats.title,
            "metrics": repeats.figures.to_json(),
            "tables": repeats.figures.tables_json(),
        }
    )


def show_run(run: Run, display: Display) -> None:
    """What a training ends with: the figures beside their baselines, and where the report is."""
    metrics = run.load_evaluation()
    report = run.path / "report.html"
    if metrics is not None:
        display.metrics_table(metrics)
    display.text(f"Report: {report}")
    display.result(
        {
            "run": run.path,
            "report": report,
            "metrics": [] if metrics is None else metrics.to_json(),
            **run.status,
        }
    )
