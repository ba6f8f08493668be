"""Figures that stand beside their baselines: what `evaluate` returns and every table shows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

Direction = Literal["higher", "lower"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One figure on one split, with what it must be compared to.

    Attributes:
        name: snake_case key (``psnr``).
        label: as people write it (``PSNR``).
        value: the figure.
        split: ``train``, ``val`` or ``test``.
        unit: ``dB``, ``%``, ``s``… or empty.
        better: which direction is better.
        baselines: name → value of the same figure for simpler methods on the same images.
        bounds: those of the baselines that are no rivals but what can be reached at best, such as genuine images beside
            generated ones.
        interval: lower and upper bound of the 95 % confidence interval, where there is one.
        note: what a reader must know (how many images, which subset).
    """

    name: str
    label: str
    value: float
    split: str
    better: Direction
    unit: str = ""
    baselines: Mapping[str, float] = field(default_factory=dict)
    interval: tuple[float, float] | None = None
    note: str = ""
    bounds: tuple[str, ...] = ()


Row = Mapping[str, str | int | float]
"""Column's name → text or number."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Figures by the row: one for each class, say.

    Attributes:
        name: snake_case key, unique in an evaluation (``classes``).
        title: heading.
        rows: all with the same columns.
        note: what a reader must know.
    """

    name: str
    title: str
    rows: tuple[Row, ...]
    note: str = ""


@dataclass(frozen=True)
class Metrics(Sequence[Metric]):
    """The figures of one evaluation, in the order in which they are shown.

    Attributes:
        rows: the figures.
        tables: what does not stand beside baselines, by the row.
        notices: what a user must know of them, such as why there are none: warned of, and shown in the report.
    """

    rows: tuple[Metric, ...]
    tables: tuple[Table, ...] = ()
    notices: tuple[str, ...] = ()

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Metric]:
        return iter(self.rows)

    def __add__(self, more: Metrics) -> Metrics:
        """The figures, tables and notices of both."""
        return Metrics(self.rows + more.rows, self.tables + more.tables, self.notices + more.notices)

    def get(self, name: str, split: str) -> Metric:
        """The metric of that name and split.

        Raises:
            KeyError: there is none.
        """
        for row in self.rows:
            if (row.name, row.split) == (name, split):
                return row
        raise KeyError(f"no metric {name!r} for split {split!r}")

    def to_json(self) -> list[dict[str, Any]]:
        """Plain JSON; figures that are not finite become strings, which JSON can hold."""
        return [_finite(asdict(row)) for row in self.rows]

    def tables_json(self) -> list[dict[str, Any]]:
        """The tables as plain JSON."""
        return [_finite(asdict(table)) for table in self.tables]

    @classmethod
    def from_json(cls, rows: Sequence[Mapping[str, Any]], tables: Sequence[Mapping[str, Any]] = ()) -> Metrics:
        """The inverse of :meth:`to_json` and :meth:`tables_json`, for JSON that may come from anyone.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: it is none.
        """
        return cls(tuple(_metric(row) for row in rows), tuple(_table(table) for table in tables))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_finite(item) for item in value]
    return value


def _metric(row: Mapping[str, Any]) -> Metric:
    fields = dict(row)
    fields["value"] = float(fields["value"])
    fields["bounds"] = tuple(fields.get("bounds", ()))
    fields["baselines"] = {name: float(value) for name, value in fields["baselines"].items()}
    if fields["interval"] is not None:
        lower, upper = fields["interval"]
        fields["interval"] = (float(lower), float(upper))
    metric = Metric(**fields)
    _check_texts(metric, "name", "label", "split", "unit", "note")
    if metric.better not in get_args(Direction):
        raise ValueError(f"better = {metric.better!r}")
    return metric


def _table(plain: Mapping[str, Any]) -> Table:
    table = Table(**{**plain, "rows": tuple(dict(row) for row in plain["rows"])})
    _check_texts(table, "name", "title", "note")
    for row in table.rows:
        if row.keys() != table.rows[0].keys() or not all(isinstance(cell, str | int | float) for cell in row.values()):
            raise ValueError(f"a row of {table.name} is {row!r}")
    return table


def _check_texts(found: Metric | Table, *names: str) -> None:
    for name in names:
        if not isinstance(getattr(found, name), str):
            raise TypeError(f"{name} = {getattr(found, name)!r}")
