"""`dlkit doctor`: what a bug report needs, and whether something is wrong with the installation."""

from __future__ import annotations

import json
from typing import Any

import click

from dlkit.discovery import NO_PLUGINS
from dlkit.errors import PluginError
from dlkit.report.figures import clean


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for bug reports; nothing private is in it.")
def doctor(as_json: bool) -> None:
    """Check the installation: versions, devices, plugins, caches, start-up. Exits with 5 where something is wrong."""
    from dlkit.health import examine, without_private

    facts, wrong = examine()
    if as_json:
        click.echo(json.dumps(without_private(facts | {"problems": wrong}), indent=2, ensure_ascii=False))
    else:
        click.echo(_as_text(facts), nl=False)
    if wrong:
        listed = "\n".join(f"- {reason}" for reason in wrong)
        raise PluginError(
            f"something is wrong:\n{listed}", f"{NO_PLUGINS}=1 or --no-plugins leaves strangers' plugins out."
        )
    if not as_json:
        click.echo("Everything works.")


def _as_text(facts: dict[str, Any]) -> str:
    formatter = click.HelpFormatter(max_width=110)
    formatter.write_dl([(name, _words(value) or "-") for name, value in facts.items() if name != "plugin_problems"])
    return clean(formatter.getvalue(), lines=True)


def _words(value: Any) -> str:
    """A fact in a line: names with what is known of them."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(item)}".rstrip() for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_words(item) for item in value)
    return str(value)
