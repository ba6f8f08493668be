"""`dlkit list augmenters` and `dlkit info AUGMENTER`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import click

from dlkit.augment.card import AugmenterCard, Parameter
from dlkit.augment.cards import augmenters
from dlkit.options.literals import shortest


def list_augmenters(pattern: str, as_json: bool) -> None:
    """Print those whose name fits, by family."""
    found = {name: card for name, card in augmenters().items() if fnmatchcase(name, pattern)}
    if as_json:
        click.echo(json.dumps([facts(name, card) for name, card in found.items()], indent=2, ensure_ascii=False))
        return
    if not found:
        click.echo(f"There are no augmenters like {pattern!r}.", err=True)
        return
    formatter = click.HelpFormatter(max_width=110)
    for family in dict.fromkeys(card.family for card in found.values()):
        with formatter.section(family.capitalize()):
            formatter.write_dl([(name, card.summary) for name, card in found.items() if card.family == family])
    formatter.write_paragraph()
    formatter.write_text("`dlkit info NAME` shows parameters.")
    click.echo(formatter.getvalue().lstrip("\n"), nl=False)


def describe_augmenter(name: str, as_json: bool) -> None:
    """Print what one of them does and how a policy names it."""
    card = augmenters()[name]
    if as_json:
        click.echo(json.dumps(facts(name, card), indent=2, ensure_ascii=False))
        return
    formatter = click.HelpFormatter(max_width=100)
    formatter.write(f"{name}: {card.summary}\n\n")
    formatter.write(f"  --augment {card.usage}[@PROBABILITY]\n")
    if card.parameters:
        with formatter.section("Parameters, in order"):
            formatter.write_dl([(parameter.name, described(parameter)) for parameter in card.parameters])
    with formatter.section("Facts"):
        formatter.write_dl(_rows(card))
    if card.sources:
        with formatter.section("Sources"):
            formatter.write("".join(f"{'':{formatter.current_indent}}{line}\n" for line in card.sources))
    click.echo(formatter.getvalue(), nl=False)


def described(parameter: Parameter) -> str:
    """A parameter in a sentence or two."""
    default = parameter.default if isinstance(parameter.default, str) else shortest(parameter.default)
    takes = f"{parameter.expectation}{f', {parameter.unit}' if parameter.unit else ''}"
    notes = [f"default: {default}"] if default else []
    if parameter.strong is not None:
        notes.append(f"at strength 0 to 1: {shortest(parameter.weak)} to {shortest(parameter.strong)}")
    drawn = {"around": "each image's own is drawn from [-v, v]",
             "up-to": f"each image's own is drawn between {shortest(parameter.weak)} and v"}  # fmt: skip
    notes += [drawn[parameter.spread]] if not parameter.is_word and parameter.spread in drawn else []
    return f"{parameter.help} {takes[0].upper()}{takes[1:]}.  [{'; '.join(notes)}]"


def _rows(card: AugmenterCard) -> Sequence[tuple[str, str]]:
    what = {
        "moves masks, boxes and keypoints along": card.moves,
        "mixes pairs of images and their labels": card.pairs,
        "chooses among other augmenters": card.policy,
        "needs masks": card.needs_masks,
        "does nothing to grey images": card.needs_colour,
    }
    return [
        ("family", card.family),
        ("changes", f"{100 * card.probability:g} % of the images, where a policy does not say"),
        *[("it", text) for text, holds in what.items() if holds],
        ("from", card.implementation),
    ]


def facts(name: str, card: AugmenterCard) -> dict[str, Any]:
    """A card as JSON."""
    plain = [
        {"name": each.name, "help": each.help, "default": each.default, "takes": each.expectation, "unit": each.unit,
         "strength 0": None if each.strong is None else each.weak, "strength 1": each.strong, "spread": each.spread}
        for each in card.parameters
    ]  # fmt: skip
    return {
        "name": name,
        "summary": card.summary,
        "family": card.family,
        "usage": card.usage,
        "probability": card.probability,
        "parameters": plain,
        "sources": list(card.sources),
        "implementation": card.implementation,
    }
