"""`dlkit plugins`: what was found behind the entry points, and what is wrong with it; checking and making them."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from dlkit.cli.plugins_check import check
from dlkit.cli.plugins_new import new
from dlkit.discovery import KINDS, Plugin, registry
from dlkit.hookspecs import LOGGER_HOOKS
from dlkit.report.figures import clean


@click.group("plugins", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def plugins(ctx: click.Context, as_json: bool) -> None:
    """Show the installed plugins, and what is wrong with those that do not work."""
    if ctx.invoked_subcommand is None:
        _show(as_json)


plugins.add_command(check)
plugins.add_command(new)


def _show(as_json: bool) -> None:
    found = registry()
    problems = found.problems()
    rows = [
        (plugin.entry_point, f"{plugin.distribution} {plugin.version}", _brings(plugin)) for plugin in found.plugins
    ]
    if as_json:
        working = [{"entry_point": name, "distribution": source, "brings": brings} for name, source, brings in rows]
        click.echo(json.dumps({"plugins": working, "problems": [asdict(p) for p in problems]}, indent=2))
        return
    formatter = click.HelpFormatter(max_width=110)
    with formatter.section("Plugins"):
        formatter.write_dl(
            [(f"{name} ({source})", ", ".join(brings) or "-") for name, source, brings in rows] or [("none", "")]
        )
    if problems:
        with formatter.section("Problems"):
            for problem in problems:
                formatter.write_text(
                    f"{problem.distribution} {problem.version}, entry point {problem.entry_point!r}: {problem.reason}."
                )
    click.echo(clean(formatter.getvalue(), lines=True), nl=False)


def _brings(plugin: Plugin) -> list[str]:
    """The names of the techniques and the counts of the other things that a plugin contributes."""
    found = registry()
    names = [
        name
        for name, entry in found.techniques.items()
        if (entry.distribution, entry.entry_point) == (plugin.distribution, plugin.entry_point)
    ]
    others = [kind for kind in KINDS[1:] if _has(plugin, f"dlkit_{kind}")]
    return names + others + (["logger"] if any(_has(plugin, hook) for hook in LOGGER_HOOKS) else [])


def _has(plugin: Plugin, hook: str) -> bool:
    return hasattr(getattr(plugin.module, hook, None), "dlkit_impl")
