"""Tables of an evaluation, and figures over several runs, are in the report and survive the files."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlkit.cli.main import main
from dlkit.files import write_json
from dlkit.metrics import Metric, Metrics, Table
from dlkit.report import write_report
from dlkit.run import open_run
from dlkit.run.run import REPEATS

ROWS = tuple({"class": f"<b>name {number}", "F1": 0.125 * number, "images": 1000 * number} for number in range(1, 4))
FIGURES = Metrics(
    (Metric(name="accuracy", label="accuracy", value=0.9, split="test", better="higher", interval=(0.8, 0.95)),),
    (Table(name="classes", title="Each class", rows=ROWS, note="a note"), Table(name="none", title="Empty", rows=())),
)


def test_tables_survive_the_file_and_stand_in_the_report(run_path: Path) -> None:
    run = open_run(str(run_path))
    run.save_evaluation(FIGURES)
    assert run.load_evaluation() == FIGURES
    page = write_report(run_path).read_text()
    section = page[page.index('<section id="tables">') : page.index("</section>", page.index('<section id="tables">'))]
    for text in ("Each class", "a note", "&lt;b&gt;name 1", '<td class="number">0.2500</td>', "3,000"):
        assert text in section
    assert "Empty" not in section
    assert '<section id="repeats">' not in page


def test_figures_over_several_runs_stand_in_the_report(run_path: Path) -> None:
    plain = {"title": "Over 3 seeds", "note": "means", "metrics": FIGURES.to_json(), "tables": FIGURES.tables_json()}
    write_json(run_path / REPEATS, plain)
    page = write_report(run_path).read_text()
    section = page[page.index('<section id="repeats">') :]
    assert "Over 3 seeds" in section
    assert "0.8000 – 0.9500" in section


def test_evaluate_prints_tables(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dlkit import session

    long = Table(name="many", title="Many", rows=tuple({"number": number} for number in range(35)))
    monkeypatch.setattr(session, "evaluate", lambda *_, **__: Metrics(FIGURES.rows, (*FIGURES.tables[:1], long)))
    assert main(["evaluate", str(trained)]) == 0
    shown = capsys.readouterr().out
    assert "Each class" in shown
    assert "… and 5 more rows (all with --json)" in shown
