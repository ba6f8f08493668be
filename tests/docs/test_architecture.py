"""The rules on imports in docs/architecture.md hold."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib.util import find_spec
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


def test_plugins_use_what_the_interface_promises() -> None:
    page = (ROOT / "docs" / "plugin-interface.md").read_text(encoding="utf-8")
    listed = page[page.index("- public names") : page.index("used as their docstrings say")]
    promised = {f"dlkit.{name.removeprefix('dlkit.')}" for name in re.findall(r"`([a-z_.]+)`", listed)}
    assert [name for name in promised if find_spec(name) is None] == []
    files = [path for folder in ("plugins", "examples") for path in (ROOT / folder).rglob("*.py")]
    used = {module for path in files for module in _imported(path) if module.startswith("dlkit.")}
    beyond = {name for name in used if _is_module(name) and not any(f"{name}.".startswith(f"{p}.") for p in promised)}
    assert beyond == set()


def _is_module(name: str) -> bool:
    """Whether it is a module, and not a name in one."""
    folder = ROOT.joinpath(*name.split("."))
    return folder.with_suffix(".py").is_file() or (folder / "__init__.py").is_file()
