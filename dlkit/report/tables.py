"""Tables for the terminal and for pipes; rich renders them, nothing is cut off."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from numbers import Real
from textwrap import wrap
from typing import Literal

from rich.box import HORIZONTALS, SIMPLE_HEAD
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from dlkit.metrics import Metric, Metrics
from dlkit.report.figures import ARROWS, MARKS, Verdict, between, clean, headline, judged, legend, number, with_unit

STYLES: dict[Verdict, str] = {"better": "green", "worse": "red", "even": "yellow", "unknown": "dim", "bound": "dim"}
_STATES = {
    "training": "cyan", "trained": "cyan", "finished": "green", "failed": "red", "interrupted": "yellow",
    "stopped": "yellow",
}  # fmt: skip

_WIDE = 100
"""Columns of a terminal from which a figure's name, split and value have columns of their own."""
_FEW_WORDS = 16
_NOTE_WIDTH = 48
_BESIDE = 68
"""Columns that split, value and baselines take beside a note."""


def metrics_table(metrics: Metrics, width: int) -> Table:
    """One row a figure: name, split, value over its 95 % interval; its baselines line by line beside it.

    Where ``width``, in terminal columns, has no room for that, all but the baselines stand one below the other.
    """
    table = Table(box=HORIZONTALS, caption=legend(metrics), caption_justify="left", show_lines=True, pad_edge=False)
    table.add_column("figure", overflow="fold", ratio=None if width >= _WIDE else 1)
    if width >= _WIDE:
        table.add_column("split", no_wrap=True)
        table.add_column("value", justify="right", no_wrap=True)
    table.add_column("beside", overflow="fold", ratio=None if width >= _WIDE else 1)
    for metric in metrics:
        split = Text(clean(metric.split))
        if width >= _WIDE:
            table.add_row(_name(metric, min(_NOTE_WIDTH, width - _BESIDE)), split, _value_cell(metric), _beside(metric))
        else:
            table.add_row(_narrow_cell(metric), _beside(metric))
    return table


def _narrow_cell(metric: Metric) -> Text:
    text = Text(f"{clean(metric.label)}, {clean(metric.split)}\n")
    text.append(f"{_value(metric)} {ARROWS[metric.better]}", style="bold")
    text.append(f"  {between(metric)}" if metric.interval else "", style="dim")
    return text.append(f"\n{clean(metric.note)}" if metric.note else "", style="dim")


def table(rows: Sequence[Mapping[str, object]], title: str, width: int, spare: Sequence[str] = ()) -> Table:
    """Rows of named cells; columns in order of first appearance, those without any content left out.

    Args:
        rows: the cells by column.
        title: above the table; empty for none.
        width: of the terminal, in columns. Where there is room, words and numbers are kept whole.
        spare: columns that are left out, the first ones first, until there is.
    """
    keys = [key for key in dict.fromkeys(key for row in rows for key in row) if any(_cell(row, key) for row in rows)]
    numeric = {key for key in keys if all(isinstance(row.get(key), Real) for row in rows if _cell(row, key))}
    texts = {key: [_cell(row, key).plain for row in rows] for key in keys}
    table = Table(box=SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    columns = _widths(texts, numeric, width, spare)
    for key, size in columns.items():
        justify: Literal["left", "right"] = "right" if key in numeric else "left"
        table.add_column(clean(key), justify=justify, overflow="fold", width=size)
    for row in rows:
        table.add_row(*(_cell(row, key) for key in columns))
    return table


def _widths(
    texts: Mapping[str, Sequence[str]], numeric: Collection[str], width: int, spare: Sequence[str]
) -> Mapping[str, int | None]:
    """The columns that are shown, and how wide; None where words must be broken anyway."""
    for few in (_FEW_WORDS, 0):  # columns of a longer text that are enough
        least = {key: max(_least(clean(key), 0), *(cell_len(text) if key in numeric else _least(text, few)
                                                   for text in cells)) for key, cells in texts.items()}  # fmt: skip
        for key in spare:
            if key in least and _room(least, width) < 0:
                del least[key]
        if _room(least, width) >= 0:
            return _grown(least, {key: max(map(cell_len, [clean(key), *texts[key]])) for key in least}, width)
    return dict.fromkeys(least)


def _least(text: str, few: int) -> int:
    return max([min(cell_len(text), few), *map(cell_len, text.split())])


def _room(widths: Mapping[str, int], width: int) -> int:
    return width - sum(widths.values()) - 3 * len(widths) - 1  # what rich puts around and between them


def _grown(least: Mapping[str, int], most: Mapping[str, int], width: int) -> dict[str, int]:
    """What room there is, shared out: those that want little get it all."""
    widths, room = dict(least), _room(least, width)
    for place, key in enumerate(sorted(least, key=lambda key: most[key] - least[key])):
        more = min(most[key] - least[key], room // (len(least) - place))
        widths[key] += more
        room -= more
    return widths


def runs_table(rows: Sequence[Mapping[str, object]], width: int) -> Table:
    """Like :func:`table`; a cell that holds metrics shows the first held-out figure, a status has its colour."""
    cells = [{key: _run_cell(key, value) for key, value in row.items()} for row in rows]
    return table(cells, "", width, spare=("data", "epochs", "since"))


def _name(metric: Metric, width: int) -> Text:
    text = Text(clean(metric.label))
    for line in wrap(clean(metric.note), width):  # a long note would push the values off the screen
        text.append(f"\n{line}", style="dim")
    return text


def _value_cell(metric: Metric) -> Text:
    text = Text(f"{_value(metric)} {ARROWS[metric.better]}", style="bold")
    return text.append(f"\n{between(metric)}  ", style="not bold dim") if metric.interval else text


def _value(metric: Metric) -> str:
    return with_unit(metric.value, clean(metric.unit))


def _beside(metric: Metric) -> Table | Text:
    if not metric.baselines:
        return Text("")  # rich takes a grid without rows for as wide as the whole console
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, justify="right")
    grid.add_column(overflow="fold")
    for name, verdict in judged(metric).items():
        mark = Text(MARKS[verdict], style=STYLES[verdict])
        grid.add_row(mark, number(metric.baselines[name]), Text(clean(name)))
    return grid


def _cell(row: Mapping[str, object], key: str) -> Text:
    value = row.get(key)
    if isinstance(value, Text):
        return value
    if value is None:
        return Text("")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    return Text(number(value) if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else clean(value))


def _run_cell(key: str, value: object) -> object:
    if isinstance(value, Metrics):
        metric = headline(value)
        return Text(f"{clean(metric.label)} {_value(metric)} ({clean(metric.split)})") if metric else None
    if key == "status":
        return Text(clean(value), style=_STATES.get(str(value), ""))
    return value
