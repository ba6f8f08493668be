"""`dlkit evaluate`: a run's figures; on corrupted images, over augmented views, with and without added images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dlkit.cli.shared import DEVICE, make_display, make_runtime, opened, output_flags, run_argument
from dlkit.errors import UsageError

if TYPE_CHECKING:
    from dlkit.augment import Policy
    from dlkit.display import Display
    from dlkit.metrics import Metrics
    from dlkit.run import Run

_TABLE_ROWS = 30


def views_flags(command: Any) -> Any:
    """Add ``--tta``, ``--views`` and ``--augment``."""
    tta = click.option("--tta", is_flag=True, help="Average predictions over the image and augmented views of it.")
    views = click.option("--views", type=click.IntRange(1, 100), metavar="N",
                         help="Views of each image beside itself, with --tta.  [default: 8]")  # fmt: skip
    policy = click.option("--augment", "policy", metavar="POLICY|FILE",
                          help="How views are made, with --tta; by default turned by up to 5° and shifted by up to "
                          "5 %, mirrored where the run was trained on mirrored images.")  # fmt: skip
    return tta(views(policy(command)))


def parsed_policy(text: str | None, views: int | None, *, tta: bool) -> Policy | None:
    """The policy that ``--augment`` says.

    Raises:
        UsageError: it is none, or there is no ``--tta`` to use it.
    """
    if not tta and (text is not None or views is not None):
        raise UsageError(f"{'--augment' if text is not None else '--views'} is about the views of --tta.",
                         "Add --tta; images are evaluated as they are otherwise.")  # fmt: skip
    if text is None:
        return None
    from dlkit.augment import Policy

    try:
        return Policy.parse(text)
    except ValueError as error:
        raise UsageError(f"--augment: {error}", "`dlkit list augmenters` shows what there is.") from None


@click.command("evaluate")
@run_argument
@click.option(
    "--data", metavar="NAME|PATH", help="Other data than the run's own; brought to the run's size and classes."
)
@click.option("--corrupt", is_flag=True, help="The headline figure under each corruption at five strengths "
              "instead, also in the report.")  # fmt: skip
@click.option("--without", metavar="ORIGIN,…", help="Train again with and without images that `dlkit augment` added "
              "(generated, augmented) and compare.")  # fmt: skip
@click.option("--seeds", type=click.IntRange(2, 100), metavar="N",
              help="With --without: so many seeds of each.  [default: 3]")  # fmt: skip
@views_flags
@click.option("--features", metavar="WHAT", help="What generated images are judged by, if not as in training: "
              "run:RUN, a backbone's name, inception, pixels or auto.")  # fmt: skip
@click.option("--inception-weights", metavar="FILE", help="With --features inception: its weights file.")
@click.option("--judged", metavar="N", help="At most so many generated images are judged.")
@DEVICE
@output_flags
def evaluate(
    run: str,
    runs: str,
    data: str | None,
    corrupt: bool,
    without: str | None,
    seeds: int | None,
    tta: bool,
    views: int | None,
    policy: str | None,
    device: str | None,
    quiet: bool,
    as_json: bool,
    **judging: str | None,
) -> None:
    """Evaluate RUN: every figure beside its baselines, on the run's own data or on other data."""
    said = {name: value for name, value in judging.items() if value is not None}
    ways = [f"--{name.replace('_', '-')}" for name in said][:1]
    ways += [flag for flag, given in (("--corrupt", corrupt), ("--tta", tta), ("--without", without)) if given]
    if len(ways) > 1:
        raise UsageError(f"{' and '.join(ways)} are different evaluations.", "Give one of them.")
    if seeds is not None and without is None:
        raise UsageError(
            "--seeds is about the trainings of --without.", "dlkit train NAME --seeds N trains over seeds."
        )
    parsed = parsed_policy(policy, views, tta=tta)
    display = make_display(quiet, as_json)
    opened_run = opened(run, runs)
    if without is not None:
        if data is not None:
            raise UsageError("--without compares trainings on the run's own data.", "Leave out --data.")
        _compare(opened_run, without, seeds or 3, display)
        return
    runtime = make_runtime(opened_run, device, display)
    if corrupt:
        from dlkit.robustness import evaluate_corrupted

        metrics = evaluate_corrupted(opened_run, runtime, display, data=data)
    elif tta:
        from dlkit.views import VIEWS, evaluate_run

        metrics = evaluate_run(opened_run, runtime, display, policy=parsed, count=views or VIEWS, data=data)
    else:
        from dlkit import session
        from dlkit.run.changes import judged_by

        opened_run = judged_by(opened_run, said) if said else opened_run
        metrics = session.evaluate(opened_run, display, data=data, runtime=runtime)
        if data is not None and not metrics:
            display.warn(f"{opened_run.technique} has no figures about held-out images: other data says nothing of it.")
    _show(metrics, display)
    shown = {"run": opened_run.path, "data": data or opened_run.spec.source}
    display.result(shown | {"metrics": metrics.to_json(), "tables": metrics.tables_json()})


def _show(metrics: Metrics, display: Display) -> None:
    display.metrics_table(metrics)
    for table in metrics.tables:
        display.table(table.rows[:_TABLE_ROWS], table.title)
        if len(table.rows) > _TABLE_ROWS:
            display.text(f"… and {len(table.rows) - _TABLE_ROWS} more rows (all with --json)")


def _compare(run: Run, without: str, seeds: int, display: Display) -> None:
    from dlkit.comparing import compare_without
    from dlkit.options.coerce import coerce
    from dlkit.options.core import DataOptions
    from dlkit.options.declare import options_of

    option = next(each for each in options_of(DataOptions) if each.name == "without")
    compared = compare_without(run, coerce(option, without, "--without"), seeds, display)
    _show(compared.metrics, display)
    display.text(compared.verdict)
    shown = {"run": run.path, "runs": [each.path for each in compared.runs], "verdict": compared.verdict}
    display.result(shown | {"metrics": compared.metrics.to_json(), "tables": compared.metrics.tables_json()})
