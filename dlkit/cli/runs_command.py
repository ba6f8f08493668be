"""`dlkit runs`: list them, compare them, remove them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlkit.cli.shared import RUNS, make_display, opened, output_flags
from dlkit.errors import DlkitError, UsageError

if TYPE_CHECKING:
    from dlkit.run import Run


@click.group("runs", invoke_without_command=True)
@RUNS
@output_flags
@click.pass_context
def runs(ctx: click.Context, runs: str, quiet: bool, as_json: bool) -> None:
    """List the runs; `compare` and `remove` take their names, paths, or latest."""
    ctx.obj = runs
    if ctx.invoked_subcommand is not None:
        return
    from dlkit.run.directory import list_runs
    from dlkit.run.run import Run

    display = make_display(quiet, as_json)
    rows = [_row(Run(path)) for path in list_runs(Path(runs).expanduser())]
    if not rows:
        display.info(f"There are no runs under {runs!r}.")
    display.runs_table(rows)
    display.result(rows)


@runs.command("compare")
@click.argument("names", metavar="RUN RUN…", nargs=-1, required=True)
@output_flags
@click.pass_context
def compare(ctx: click.Context, names: tuple[str, ...], quiet: bool, as_json: bool) -> None:
    """Show where the options of runs differ, and their figures side by side."""
    if len(names) < 2:
        raise UsageError("Comparing takes two runs or more.", "For example: dlkit runs compare digits-001 latest")
    display = make_display(quiet, as_json)
    found = [opened(name, ctx.obj) for name in names]
    options, figures = _differences(found), _figures(found)
    display.table(options, "Options that differ")
    display.table(figures, "Figures")
    display.result({"runs": [run.path for run in found], "options": options, "figures": figures})


@runs.command("remove")
@click.argument("names", metavar="RUN…", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def remove(ctx: click.Context, names: tuple[str, ...], yes: bool) -> None:
    """Remove runs with everything in them, after asking."""
    for run in [opened(name, ctx.obj) for name in names]:
        files = sum(1 for path in run.path.rglob("*") if path.is_file())
        question = f"Remove {run.path} ({files} files)? There is no way back."
        if not yes and not click.confirm(question, err=True):
            click.echo(f"Kept {run.path}.", err=True)
            continue
        with run.locked():  # not under the feet of a training
            try:
                shutil.rmtree(run.path)
            except OSError as error:
                raise DlkitError(f"Cannot remove {str(run.path)!r}: {error.strerror or error}.") from error
        latest = run.path.parent.parent / "latest"
        if latest.is_symlink() and not latest.exists():
            latest.unlink()
        click.echo(f"Removed {run.path}.", err=True)


def _row(run: Run) -> dict[str, Any]:
    """A line of the list; a run that cannot be read is listed with the reason."""
    row: dict[str, Any] = {"run": run.name, "technique": run.path.parent.name}
    try:
        status, rows = run.status, run.metrics()
        row |= {"data": run.spec.name, "status": status.get("status", "unknown"), "since": status.get("since", "")}
        row["epochs"] = rows[-1]["epoch"] if rows else 0
        row["figure"] = run.load_evaluation() or ""
    except (DlkitError, KeyError, ValueError) as error:
        row["status"] = f"unreadable: {str(error).splitlines()[0]}"
    return row


def _differences(found: Iterable[Run]) -> list[dict[str, Any]]:
    plain = {_label(run): run.settings.to_plain() for run in found}
    names = dict.fromkeys(name for values in plain.values() for name in values)
    rows = [{"option": name} | {label: values.get(name, "") for label, values in plain.items()} for name in names]
    return [row for row in rows if len({str(value) for key, value in row.items() if key != "option"}) > 1]


def _figures(found: Iterable[Run]) -> list[dict[str, Any]]:
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for run in found:
        for metric in run.load_evaluation() or ():
            row = rows.setdefault((metric.name, metric.split), {"figure": metric.label, "split": metric.split})
            row[_label(run)] = metric.value
    return list(rows.values())


def _label(run: Run) -> str:
    return f"{run.path.parent.name}/{run.name}"
