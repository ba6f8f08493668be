"""`dlkit list` and `dlkit info`: what is installed, from light cards only but for backbones."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

import click
from click.shell_completion import CompletionItem

from dlkit.augment.cards import augmenters
from dlkit.capabilities import commands_for
from dlkit.cli.augmenter_listing import describe_augmenter, list_augmenters
from dlkit.cli.backbone_listing import describe_backbone, list_backbones
from dlkit.discovery import KINDS, Registered, registry
from dlkit.errors import UnknownBackbone, UsageError
from dlkit.options.suggest import did_you_mean
from dlkit.options.values import Size
from dlkit.report.figures import clean
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
    if kind in ("backbones", "augmenters"):
        (list_backbones if kind == "backbones" else list_augmenters)(wanted, as_json)
        return
    rows = [(name, card.summary) for name, card in registry().listed(kind).items() if fnmatchcase(name, wanted)]
    if as_json:
        click.echo(json.dumps([{"name": name, "summary": summary} for name, summary in rows], indent=2))
        return
    if rows:
        formatter = click.HelpFormatter(max_width=110)
        formatter.write_dl(rows)
        click.echo(clean(formatter.getvalue(), lines=True), nl=False)
    else:
        click.echo(f"There are no {kind}" + (f" like {pattern!r}." if pattern != "*" else "."), err=True)


@click.command("info")
@click.argument("technique", metavar="NAME", shell_complete=_complete_technique)
@click.option("--backbone-arg", multiple=True, metavar="KEY=VALUE", help="Of a backbone: an argument for its builder.")
@click.option("--image-size", metavar="N or HxW", help="Of a backbone: the images' size; by default its weights' own.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(technique: str, backbone_arg: tuple[str, ...], image_size: str | None, as_json: bool) -> None:
    """Describe a technique: what it does, its sources, what a trained one can do; or an augmenter; or a backbone.

    Of a backbone (resnet50, torchvision/vgg16, run:latest): weights, activations, multiply-adds, memory, and the
    stages that can be tapped. Nothing is downloaded.
    """
    if technique not in registry().techniques and technique in augmenters():
        describe_augmenter(technique, as_json)
        return
    try:
        card = registry().technique(technique)
    except UsageError as unknown:
        _describe_backbone(technique, backbone_arg, image_size, as_json, unknown)
        return
    if backbone_arg or image_size:
        raise UsageError(f"{technique!r} is a technique; --backbone-arg and --image-size are for backbones.")
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
                ("used by", ", ".join(f"dlkit {verb}" for verb in (*facts["commands"], "predict", "export"))),
                ("labels", f"needed ({', '.join(card.targets)})" if card.needs_labels else "not needed"),
                ("options", f"{facts['options']}, see `dlkit train {card.name} --help`"),
                ("from", f"{facts['distribution']} {facts['version']} ({facts['implementation']})"),
            ]
        )
    click.echo(clean(formatter.getvalue(), lines=True), nl=False)


def _describe_backbone(
    reference: str, arguments: tuple[str, ...], image_size: str | None, as_json: bool, unknown: UsageError
) -> None:
    try:
        size = Size.parse(image_size) if image_size else None
    except ValueError as error:
        raise UsageError(f"--image-size: {error}.") from error
    try:
        describe_backbone(reference, arguments, size, as_json)
    except UnknownBackbone as error:
        hint = unknown.hint if unknown.hint.startswith("Did you mean") else error.hint
        raise UsageError(f"There is no technique or backbone {reference!r}.", hint) from error


def _facts(entry: Registered) -> dict[str, Any]:
    card = entry.card
    capabilities = card.capabilities(card.options())
    return {
        "name": card.name,
        "summary": card.summary,
        "description": card.description,
        "sources": list(card.sources),
        "examples": list(card.examples),
        "task": card.task,
        "needs_labels": card.needs_labels,
        "targets": list(card.targets) if card.needs_labels else [],
        "capabilities": sorted(capabilities),
        "commands": commands_for(capabilities),
        "options": len(all_options(card)),
        "implementation": card.implementation,
        "distribution": entry.distribution,
        "version": entry.version,
    }
