"""Tables in the report: a row for each class, a row for each of several runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dlkit.metrics import Metrics, Table
from dlkit.report.figures import number
from dlkit.report.picture import read_index
from dlkit.report.sections import metric_rows
from dlkit.run.reading import read_figures, read_object
from dlkit.run.run import REPEATS, ROBUSTNESS, Run

_OPEN = 30
"""Longer tables are folded."""


def tables_section(run: Run) -> list[dict[str, Any]]:
    """The tables of the run's evaluation, and of its robustness where that was measured since."""
    tables = (run.load_evaluation() or Metrics(())).tables
    measured = run.path / ROBUSTNESS
    shown = {entry["name"] for entry in read_index(run.path / "plots")}
    if measured.is_file() and "robustness" in shown:  # not that of an earlier model
        tables += read_figures(measured).tables
    return table_rows(tables)


def repeats_section(run: Run) -> dict[str, Any] | None:
    """The figures over several runs of which this is one; None where it stands alone."""
    path = run.path / REPEATS
    if not path.is_file():
        return None
    plain, figures = read_object(path), read_figures(path)
    return {
        "title": str(plain.get("title", "")),
        "note": str(plain.get("note", "")),
        "metrics": metric_rows(figures),
        "tables": table_rows(figures.tables),
    }


def table_rows(tables: Iterable[Table]) -> list[dict[str, Any]]:
    """Columns with whether they are numeric, and cells as texts; tables without rows are left out."""
    return [
        {
            "title": table.title,
            "note": table.note,
            "open": len(table.rows) <= _OPEN,
            "columns": [(name, any(not isinstance(row[name], str) for row in table.rows)) for name in table.rows[0]],
            "rows": [[_text(value) for value in row.values()] for row in table.rows],
        }
        for table in tables
        if table.rows
    ]


def _text(value: str | int | float) -> str:
    return number(value) if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value
