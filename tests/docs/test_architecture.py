"""The rules on imports in docs/architecture.md hold."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from doc_pages import ROOT

CORE = sorted((ROOT / "dlkit").rglob("*.py"))
FAMILIES = sorted(path for path in (ROOT / "plugins" / "dlkit_builtin").iterdir() if (path / "__init__.py").is_file())


def _imported(path: Path) -> Iterator[str]:
    """Every module that a file names in an import, at its top or anywhere else."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_core_imports_no_technique() -> None:
    assert not [path for path in CORE if any(module.startswith("dlkit_builtin") for module in _imported(path))]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda path: path.name)
def test_families_do_not_import_one_another(family: Path) -> None:
    own = f"dlkit_builtin.{family.name}"
    for path in family.rglob("*.py"):
        others = [
            module for module in _imported(path)
            if module.startswith("dlkit_builtin.") and not f"{module}.".startswith(f"{own}.")
        ]  # fmt: skip
        assert not others, f"{path} imports {others}"


@pytest.mark.parametrize("family", FAMILIES, ids=lambda path: path.name)
def test_families_use_public_names_only(family: Path) -> None:
    for path in family.rglob("*.py"):
        private = [
            m for m in _imported(path) if m.startswith("dlkit.") and any(p.startswith("_") for p in m.split("."))
        ]
        assert not private, f"{path} imports {private}"
