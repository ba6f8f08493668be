"""`dlkit list` and `dlkit info`: what is installed, from light cards only."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

import click
from click.shell_completion import CompletionItem

from dlkit.discovery import KINDS, Registered, registry
from dlkit.errors import UsageError
from dlkit.options.suggest import did_you_mean
from dlkit.settings import all_options


def _complete_kind(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(kind) for kind in KINDS if kind.startswith(incomplete)]


def _complete_technique(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in registry().techniques if name.startswith(incomplete)]


@click.command("list")
@click.argument("kind", default="techniques", metavar="[KIND]", shell_complete=_complete_kind)
@click.argument("pattern", default="*", metavar="[PATTERN]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(kind: str, pattern: str, as_json: bool) -> None:
    """List techniques, or another KIND: datasets, augmenters, backbones, exporters.

    PATTERN keeps the names that contain it; * and ? stand for anything.
    """
    if kind not in KINDS:
        raise UsageError(
            f"Nothing of the kind {kind!r} is listed; there are {', '.join(KINDS)}.", did_you_mean(kind, KINDS)
        )
    wanted = pattern if set(pattern) & set("*?[") else f"*{pattern}*"
    rows = [(name, card.summary) for name, card in registry().listed(kind).items() if fnmatchcase(name, wanted)]
    if as_json:
        click.echo(json.dumps([{"name": name, "summary": summary} for name, summary in rows], indent=2))
        return
    if rows:
        formatter = click.HelpFormatter(max_width=110)
        formatter.write_dl(rows)
        click.echo(formatter.getvalue(), nl=False)
    else:
        click.echo(f"There are no {kind}" + (f" like {pattern!r}." if pattern != "*" else "."), err=True)


@click.command("info")
@click.argument("technique", shell_complete=_complete_technique)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(technique: str, as_json: bool) -> None:
    """Describe TECHNIQUE: what it does, its sources, what a trained one can do."""
    card = registry().technique(technique)
    facts = _facts(registry().techniques[card.name])
    if as_json:
        click.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    formatter = click.HelpFormatter(max_width=100)
    formatter.write(f"{card.name}: {card.summary}\n")
    for paragraph in card.description.split("\n\n"):
        if paragraph.strip():
            formatter.write("\n")
            formatter.write_text(paragraph)
    for title, lines in (("Sources", card.sources), ("Examples", card.examples)):
        if lines:
            with formatter.section(title):
                formatter.write("".join(f"{'':{formatter.current_indent}}{line}\n" for line in lines))
    with formatter.section("Facts"):
        formatter.write_dl(
            [
                ("task", card.task),
                ("can", f"{', '.join(facts['capabilities'])} (with default options)"),
                ("labels", f"needed ({', '.join(card.targets)})" if card.needs_labels else "not needed"),
                ("options", f"{facts['options']}, see `dlkit train {card.name} --help`"),
                ("from", f"{facts['distribution']} {facts['version']} ({facts['implementation']})"),
            ]
        )
    click.echo(formatter.getvalue(), nl=False)


def _facts(entry: Registered) -> dict[str, Any]:
    card = entry.card
    return {
        "name": card.name,
        "summary": card.summary,
        "description": card.description,
        "sources": list(card.sources),
        "examples": list(card.examples),
        "task": card.task,
        "needs_labels": card.needs_labels,
        "targets": list(card.targets) if card.needs_labels else [],
        "capabilities": sorted(card.capabilities(card.options())),
        "options": len(all_options(card)),
        "implementation": card.implementation,
        "distribution": entry.distribution,
        "version": entry.version,
    }
