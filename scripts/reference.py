"""Write docs/reference.md from the commands and options themselves.

python scripts/reference.py           writes the file
python scripts/reference.py --check   exits with 1 where it is stale
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

os.environ["DLKIT_NO_PLUGINS"] = "1"  # the reference is about what dlkit ships

import click

from dlkit.augment.cards import augmenters
from dlkit.card import Card
from dlkit.cli.augmenter_listing import described
from dlkit.cli.main import VERBS, cli
from dlkit.discovery import registry
from dlkit.options.coerce import bounds, metavar, to_text
from dlkit.options.declare import Option
from dlkit.settings import option_groups

TARGET = Path(__file__).parent.parent / "docs" / "reference.md"
WIDTH = 100
_MANY = ("train",)  # its commands are the techniques, which have tables of their own


def reference() -> str:
    """The whole page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield "# Reference"
    yield ""
    yield "Written by `python scripts/reference.py` from the code; edit the declarations, not this page."
    yield ""
    yield "## Commands"
    yield from _help(cli, "dlkit")
    for name, (_, where) in VERBS.items():
        module, _, attribute = where.partition(":")
        yield from _command(getattr(import_module(module), attribute), f"dlkit {name}")
    yield ""
    yield "## Techniques"
    for name, registered in registry().techniques.items():
        yield from _technique(name, registered.card)
    yield ""
    yield "## Augmenters"
    yield ""
    yield "What `--augment` names, with its parameters in order; [Augmentation](augmentation.md) says how."
    families = dict.fromkeys(card.family for card in augmenters().values())
    for family in families:
        yield from _family(family)


def _command(command: click.Command, path: str) -> Iterator[str]:
    yield ""
    yield f"### `{path}`"
    yield from _help(command, path)
    if isinstance(command, click.Group) and command.name not in _MANY:
        context = click.Context(command, info_name=path)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                yield from _command(child, f"{path} {name}")


def _help(command: click.Command, path: str) -> Iterator[str]:
    context = click.Context(command, info_name=path, terminal_width=WIDTH)
    yield ""
    yield "```text"
    yield from (line.rstrip() for line in command.get_help(context).splitlines())
    yield "```"


def _technique(name: str, card: Card) -> Iterator[str]:
    yield ""
    yield f"### `{name}`"
    yield ""
    yield card.summary
    yield ""
    yield "Every flag is also a key of the config file: `--batch-size` is `batch_size`."
    for heading, options in option_groups(card):
        yield ""
        yield f"#### {heading}"
        yield ""
        yield "| option | default | what it is |"
        yield "| --- | --- | --- |"
        yield from (_row(option) for option in options)


def _family(family: str) -> Iterator[str]:
    yield ""
    yield f"### {family.capitalize()}"
    yield ""
    yield "| augmenter | what it does | parameters |"
    yield "| --- | --- | --- |"
    for card in augmenters().values():
        if card.family == family:
            parameters = "<br>".join(f"`{each.name}`: {described(each)}" for each in card.parameters)
            chance = "" if card.probability == 1 else f" Of {100 * card.probability:g} % of the images by default."
            yield f"| `{card.name}` | {card.summary}{chance} | {parameters} |"


def _row(option: Option) -> str:
    flag = f"{option.flag}`, `--no-{option.flag[2:]}" if option.type is bool else f"{option.flag} {metavar(option)}"
    notes = [option.help]
    notes += [f"Alone: `{option.bare}`."] if option.bare is not None else []
    notes += [f"{bounds(option).strip().removeprefix('of ').capitalize()}."] if bounds(option) else []
    notes += ["Shown by `--help-all`."] if option.advanced else []
    cells = (f"`{flag}`", "" if option.default == () else f"`{to_text(option, option.default)}`", " ".join(notes))
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def main() -> int:
    """Write the page, or say whether it is stale."""
    text = reference()
    if "--check" in sys.argv[1:]:
        return int(not TARGET.is_file() or TARGET.read_text(encoding="utf-8") != text)
    TARGET.write_text(text, encoding="utf-8")
    print(f"Wrote {TARGET}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
