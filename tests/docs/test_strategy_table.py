"""The table in docs/techniques/transfer.md is what benchmarks/strategies.py makes of its results."""

from __future__ import annotations

import importlib.util

from doc_pages import ROOT


def test_the_page_shows_the_results() -> None:
    path = ROOT / "benchmarks" / "strategies.py"
    spec = importlib.util.spec_from_file_location("strategies", path)
    assert spec is not None
    assert spec.loader is not None
    strategies = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(strategies)
    page = (ROOT / "docs" / "techniques" / "transfer.md").read_text(encoding="utf-8")
    assert strategies.table(strategies.rows(strategies.RESULTS)) in page
