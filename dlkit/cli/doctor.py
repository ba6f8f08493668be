"""`dlkit doctor`: what a bug report needs, and whether something is wrong with the installation."""

from __future__ import annotations

import json
import shutil
import textwrap
from itertools import zip_longest
from typing import Any

import click

from dlkit.discovery import NO_PLUGINS
from dlkit.errors import PluginError
from dlkit.report.figures import clean

_WIDEST, _MARGIN, _HARD_SPACE = 110, 16, "\xa0"
_ONE_A_LINE = ("torch", "environment", "caches", "directories")


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for bug reports; nothing private is in it.")
def doctor(as_json: bool) -> None:
    """Check the installation: versions, devices, plugins, caches, start-up. Exits with 5 where something is wrong."""
    from dlkit.health import examine, without_private

    facts, wrong = examine()
    if as_json:
        click.echo(json.dumps(without_private(facts | {"problems": wrong}), indent=2, ensure_ascii=False))
    else:
        click.echo(_as_text(facts))
    if wrong:
        listed = "\n".join(f"- {reason}" for reason in wrong)
        hint = f"{NO_PLUGINS}=1 or --no-plugins leaves strangers' plugins out." if facts["plugin_problems"] else ""
        raise PluginError(f"something is wrong:\n{listed}", hint)
    if not as_json:
        click.echo("Everything works.")


def _as_text(facts: dict[str, Any]) -> str:
    """A name in the margin, and beside it what is known; what belongs together is not torn apart by a line's end."""
    width, lines = min(shutil.get_terminal_size().columns, _WIDEST), []
    for name, value in facts.items():
        if name == "plugin_problems":  # they are told at the end
            continue
        items = _items(value)
        rows = items if name in _ONE_A_LINE else [", ".join(item.replace(" ", _HARD_SPACE) for item in items)]
        for margin, row in zip_longest([name], [row or "-" for row in rows or [""]], fillvalue=""):
            initial, subsequent = f"{margin:<{_MARGIN}}", " " * _MARGIN
            lines += textwrap.wrap(row, width, initial_indent=initial, subsequent_indent=subsequent,
                                   break_on_hyphens=False, break_long_words=False)  # fmt: skip
    return clean("\n".join(lines).replace(_HARD_SPACE, " "), lines=True)


def _items(value: Any) -> list[str]:
    """The parts of a fact: names with what is known of them."""
    if isinstance(value, dict):
        return [f"{key} {item}" for key, item in value.items()]
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]
