"""The tables in docs/techniques/stacked.md are what their benchmarks make of their results."""

from __future__ import annotations

import importlib.util
import sys

import pytest
from doc_pages import ROOT


@pytest.mark.parametrize("name", ["pretraining", "few_labels"])
def test_the_page_shows_the_results(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ROOT / "benchmarks" / f"{name}.py"
    monkeypatch.syspath_prepend(str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, benchmark)  # dataclasses look their module up
    spec.loader.exec_module(benchmark)
    page = (ROOT / "docs" / "techniques" / "stacked.md").read_text(encoding="utf-8")
    assert benchmark.table(benchmark.rows(benchmark.RESULTS)) in page
