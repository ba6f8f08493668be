"""`dlkit runs`: list them, compare them, remove them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from dlkit.cli.shared import RUNS, make_display, opened, output_flags
from dlkit.errors import DlkitError, UsageError
from dlkit.files import user_path

if TYPE_CHECKING:
    from dlkit.run import Run


_ROOT = click.option("--runs", metavar="DIR", help="Directory that holds the runs.")


@click.group("runs", invoke_without_command=True)
@RUNS
@output_flags
@click.pass_context
def runs(ctx: click.Context, runs: str, quiet: bool, as_json: bool) -> None:
    """List the runs; `compare` and `remove` take their names, paths, or latest."""
    ctx.obj = {"runs": runs, "quiet": quiet, "as_json": as_json}
    if ctx.invoked_subcommand is not None:
        return
    from dlkit.run.directory import list_runs
    from dlkit.run.run import Run

    display = make_display(quiet, as_json)
    rows = [_row(Run(path)) for path in list_runs(user_path(runs))]
    if not rows:
        display.info(f"There are no runs under {runs!r}.")
    display.runs_table([_shown(row) for row in rows])
    for row in rows:
        if "reason" in row:
            display.warn(f"{row['run']} is unreadable: {row['reason']}")
    display.result(rows)


@runs.command("compare")
@click.argument("names", metavar="RUN RUN…", nargs=-1, required=True)
@_ROOT
@output_flags
@click.pass_obj
def compare(group: dict[str, Any], names: tuple[str, ...], runs: str | None, quiet: bool, as_json: bool) -> None:
    """Show where the options of runs differ, and their figures side by side."""
    if len(names) < 2:
        raise UsageError("Comparing takes two runs or more.", "For example: dlkit runs compare digits-001 latest")
    display = make_display(quiet or group["quiet"], as_json or group["as_json"])
    found = _labelled([opened(name, runs or group["runs"]) for name in names])
    options, figures = _differences(found), _figures(found)
    display.table(options, "Options that differ")
    display.table(figures, "Figures")
    display.result({"runs": [run.path for run in found.values()], "options": options, "figures": figures})


@runs.command("remove")
@click.argument("names", metavar="RUN…", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@_ROOT
@click.pass_obj
def remove(group: dict[str, Any], names: tuple[str, ...], yes: bool, runs: str | None) -> None:
    """Remove runs with everything in them, after asking."""
    from dlkit.run.directory import find_run, list_runs, point_latest
    from dlkit.run.run import Run

    root = user_path(runs or group["runs"])
    # Found, not opened: a run that cannot be read can be removed.
    for run in [Run(path) for path in dict.fromkeys(find_run(name, root) for name in names)]:
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
        home = run.path.parent.parent
        if (home / "latest").is_symlink() and not (home / "latest").exists():
            left = list_runs(home)
            point_latest(home, left[-1]) if left else (home / "latest").unlink()
        click.echo(f"Removed {run.path}.", err=True)


def _row(run: Run) -> dict[str, Any]:
    """A line of the list; one that cannot be read has a ``reason``."""
    row: dict[str, Any] = {"run": run.name, "technique": run.path.parent.name}
    try:
        status, rows = run.status, run.metrics()
        row |= {
            "data": run.spec.name,
            "status": _state(run, status),
            "since": str(status.get("since", ""))[:16].replace("T", " "),
        }
        row["epochs"] = rows[-1]["epoch"] if rows else 0
        row["figure"] = run.load_evaluation() or ""
    except (DlkitError, KeyError) as error:
        row |= {"status": "unreadable", "reason": str(error).splitlines()[0]}
    return row


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A line as people see it: a name that other commands take, even where several techniques have such a run."""
    rest = {key: value for key, value in row.items() if key not in ("run", "technique", "reason")}
    return {"run": f"{row['technique']}/{row['run']}", **rest}


def _state(run: Run, status: Mapping[str, Any]) -> str:
    """The recorded status, unless it says that the run is being trained and nobody does: killed, or out of power."""
    recorded = str(status.get("status", "new"))
    if recorded not in ("training", "trained"):
        return recorded
    try:
        with run.locked():
            return "stopped"
    except DlkitError:  # another process has it, or the directory cannot be written
        return recorded


def _differences(found: Mapping[str, Run]) -> list[dict[str, Any]]:
    plain = {label: run.settings.to_plain() for label, run in found.items()}
    names = dict.fromkeys(name for values in plain.values() for name in values)
    rows = [{"option": name} | {label: values.get(name, "") for label, values in plain.items()} for name in names]
    return [row for row in rows if len({str(value) for key, value in row.items() if key != "option"}) > 1]


def _figures(found: Mapping[str, Run]) -> list[dict[str, Any]]:
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for label, run in found.items():
        for metric in run.load_evaluation() or ():
            row = rows.setdefault((metric.name, metric.split), {"figure": metric.label, "split": metric.split})
            row[label] = metric.value
    return list(rows.values())


def _labelled(found: Sequence[Run]) -> dict[str, Run]:
    """Short names of the runs, or their paths where runs of two roots have the same name.

    Raises:
        UsageError: a run is named twice.
    """
    unique = {run.path: run for run in found}
    if len(unique) < len(found):
        raise UsageError("A run cannot be compared with itself.", "Name different runs.")
    short = {f"{path.parent.name}/{path.name}": run for path, run in unique.items()}
    return short if len(short) == len(unique) else {str(path): run for path, run in unique.items()}
