"""The documentation is complete and its links lead somewhere."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pytest
from doc_pages import PAGES, ROOT, anchors, blocks, links, name

from dlkit import errors, hookspecs
from dlkit.cli.main import GLOBAL_FLAGS, VERBS

LANGUAGES = {"console", "python", "text", "toml", "json", "csv", "mermaid"}
"""Commands belong into ``console`` blocks and Python into ``python`` blocks, where the tests run them."""

COMMANDS = ROOT / "docs" / "commands"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    missing = []
    for link in links(page):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, fragment = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (fragment and fragment not in anchors(target)):
            missing.append(link)
    assert not missing, f"{name(page)} links to what is not there: {missing}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_blocks_have_a_language_that_is_known(page: Path) -> None:
    odd = [(block.line, block.language) for block in blocks(page) if block.language not in LANGUAGES]
    assert not odd, f"{name(page)}: expected one of {sorted(LANGUAGES)}, found (line, language) {odd}"


def test_every_verb_has_a_page_and_every_page_a_verb() -> None:
    assert {page.stem for page in COMMANDS.glob("*.md")} - {"README"} == set(VERBS)
    index = (COMMANDS / "README.md").read_text(encoding="utf-8")
    for verb in VERBS:
        assert f"[{verb}]({verb}.md)" in index
        assert (COMMANDS / f"{verb}.md").read_text(encoding="utf-8").startswith(f"# dlkit {verb}\n")


def test_every_exit_code_and_error_is_explained() -> None:
    index = (COMMANDS / "README.md").read_text(encoding="utf-8")
    tree = [errors.DlkitError, *errors.DlkitError.__subclasses__()]
    for error in tree:
        codes = (130, 143) if error is errors.Interrupted else (error.exit_code,)
        for code in codes:
            rows = [row for row in index.splitlines() if row.startswith(f"| {code} |")]
            assert any(f"`{error.__name__}`" in row for row in rows), f"{error.__name__} in the row of {code}"


def test_global_flags_are_explained() -> None:
    index = (COMMANDS / "README.md").read_text(encoding="utf-8")
    for flag in GLOBAL_FLAGS:
        assert f"`{flag}`" in index


def test_every_hook_is_explained() -> None:
    page = ROOT / "docs" / "writing-a-plugin.md"
    if not page.exists():
        pytest.skip("docs/writing-a-plugin.md is not written yet")
    text = page.read_text(encoding="utf-8")
    hooks = [hook for hook in vars(hookspecs) if hook.startswith("dlkit_")]
    assert hooks
    assert not [hook for hook in hooks if hook not in text]
