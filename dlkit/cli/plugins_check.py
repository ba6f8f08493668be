"""`dlkit plugins check`: the contract, for people who know nothing of pytest."""

from __future__ import annotations

import json
import shutil
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from dlkit.errors import PluginError, UsageError
from dlkit.options.suggest import did_you_mean

if TYPE_CHECKING:
    from dlkit.testing import Item, Outcome
    from dlkit.testing.items import Result

_WIDEST = 110
_SIGNS: dict[Result, str] = {"passed": "ok", "failed": "FAILED", "excepted": "excepted", "skipped": "-"}
_WORDS: dict[Result, str] = {
    "passed": "kept",
    "failed": "broken",
    "excepted": "excepted with a reason",
    "skipped": "not applicable",
}


@dataclass(frozen=True)
class Checked:
    """An item, how it ended, and how long it took."""

    item: Item
    outcome: Outcome
    seconds: float


@click.command("check")
@click.argument("name")
@click.option("--only", default="*", metavar="PATTERN", help="Checks whose name matches: seed_repeats, 'card_*'.")
@click.option("--quick", is_flag=True, help="Leave out the checks that take seconds.")
@click.option("--trace", is_flag=True, help="Show where in the code a check failed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(name: str, only: str, quick: bool, trace: bool, as_json: bool) -> None:
    """See whether what NAME brings keeps the contract: a technique, an entry point, or a distribution.

    It trains on a few tiny images, in a folder of its own; nothing is fetched. Exits with 5 where a promise is broken.
    """
    from dlkit.testing import items_of

    items = [item for item in items_of(name, only) if not (quick and item.check.slow)]
    if not items:
        raise UsageError(f"No check of {name!r} matches {only!r}.", _hint(name, only))
    done = []
    for _, group in groupby(items, key=lambda item: (item.subject.kind, item.subject.name)):
        own, told = list(group), dict[str, str]()
        if not as_json:
            click.echo(_title(own[0]))
        for checked in _carried_out(own):
            done.append(checked)
            if not as_json:
                click.echo(_line(checked, trace, told))
    if as_json:
        click.echo(json.dumps([_plain(checked) for checked in done], indent=2, ensure_ascii=False))
    _conclude(name, done, as_json)


def _carried_out(items: list[Item]) -> Iterator[Checked]:
    for item in items:
        since = time.perf_counter()
        outcome = item.run()
        yield Checked(item, outcome, time.perf_counter() - since)


def _conclude(name: str, done: list[Checked], as_json: bool) -> None:
    counts = Counter(checked.outcome.result for checked in done)
    told = ", ".join(f"{counts[result]} {word}" for result, word in _WORDS.items() if counts[result])
    if not as_json:
        click.echo(f"\n{len(done)} promises: {told}.")
    if counts["failed"]:
        broken = [checked.item.id for checked in done if checked.outcome.result == "failed"]
        raise PluginError(
            f"{name} does not keep the contract: {', '.join(broken)}.",
            f"`dlkit plugins check {name} --only CHECK --trace` shows where; docs/writing-a-plugin.md has the rules.",
        )


def _title(item: Item) -> str:
    subject = item.subject
    return f"{subject.name}: {subject.kind} of {subject.plugin.distribution} {subject.plugin.version}"


def _line(checked: Checked, trace: bool, told: dict[str, str]) -> str:
    """A check with what came of it; ``told``: the reasons that were given before, and the checks that they are of."""
    item, outcome = checked.item, checked.outcome
    line = f"{item.check.name:<25} {item.check.promise}"
    if checked.seconds >= 1:
        line += f" ({checked.seconds:.0f} s)"
    line = _filled(line, f"  {_SIGNS[outcome.result]:<9}", " " * 37)
    before = told.setdefault(outcome.detail, item.check.name) if outcome.result == "failed" else item.check.name
    details = [outcome.detail if before == item.check.name else f"for the same reason as {before}"]
    details += [f"but for {part}: {reason}" for part, reason in item.parts.items()]
    if trace and outcome.result == "failed":
        details.append(outcome.trace)
    paragraphs = [paragraph for detail in details for paragraph in detail.strip().splitlines()]
    return "\n".join([line, *(_filled(paragraph, " " * 11, " " * 11) for paragraph in paragraphs)])


def _filled(text: str, initial: str, subsequent: str) -> str:
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    return textwrap.fill(text, width, initial_indent=initial, subsequent_indent=subsequent, break_on_hyphens=False)


def _plain(checked: Checked) -> dict[str, Any]:
    item, outcome = checked.item, checked.outcome
    return {
        "kind": item.subject.kind,
        "name": item.subject.name,
        "check": item.check.name,
        "promise": item.check.promise,
        "result": outcome.result,
        "detail": outcome.detail,
        "exceptions": item.parts,
        "trace": outcome.trace,
        "seconds": round(checked.seconds, 2),
    }


def _hint(name: str, only: str) -> str:
    from dlkit.testing import items_of

    return did_you_mean(only, sorted({item.check.name for item in items_of(name)}))
