"""A complete package from templates: what a plugin's author fills in, nothing that they need not touch."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from dlkit import __version__
from dlkit.card import API_VERSION
from dlkit.discovery import CORE_VERBS, registry
from dlkit.errors import UsageError
from dlkit.files import new_folder, write_text

KINDS = ("technique", "augmenter", "dataset", "backbone", "exporter", "logger")
"""What a new plugin can be."""

_LISTS = {kind: f"dlkit list {kind}s" for kind in KINDS} | {"technique": "dlkit list", "logger": "dlkit plugins"}
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True)
class NewPlugin:
    """What was made.

    Attributes:
        folder: the package's.
        files: its files, in order.
        commands: what its author types next.
    """

    folder: Path
    files: tuple[Path, ...]
    commands: tuple[str, ...]


def make_plugin(name: str, kind: str, out: str | None = None) -> NewPlugin:
    """Write a package that installs, whose tests pass, and that ``dlkit list`` shows.

    Args:
        name: of what it brings, kebab-case; the distribution is ``dlkit-NAME``.
        kind: one of :data:`KINDS`.
        out: the folder to make; by default ``dlkit-NAME`` here.

    Raises:
        UsageError: a name that cannot be used or is taken, or a folder that holds something.
    """
    name = name.removeprefix("dlkit-")
    _check_name(name, kind)
    folder = new_folder(out or f"dlkit-{name}")
    words = _words(name, kind)
    written = []
    for source, path in _templates(kind):
        target = folder / path.replace("MODULE", words["module"]).replace("NAME", words["function"])
        write_text(target, Template(source.read_text(encoding="utf-8")).substitute(words))
        written.append(target)
    shown = folder if folder.is_absolute() else f"./{folder}"
    commands = (
        f"pip install --editable '{shown}[test]'",
        _LISTS[kind],
        f"dlkit plugins check {name}",
        f"pytest {folder}",
    )
    return NewPlugin(folder, tuple(sorted(written)), commands)


def _check_name(name: str, kind: str) -> None:
    if not _NAME.fullmatch(name):
        hint = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")
        raise UsageError(
            f"The name {name!r} is not kebab-case: a-z, 0-9, single hyphens between, a letter first.",
            f"For example: dlkit plugins new {hint}" if _NAME.fullmatch(hint) else "",
        )
    if keyword.iskeyword(name) or name == "contract" or _is_used(name, kind):
        raise UsageError(f"{name!r} means something else in the package that is made.", "Choose another name.")
    if kind == "technique" and name in CORE_VERBS:
        raise UsageError(f"{name!r} is a name of dlkit's own commands.", "Choose another one.")
    if kind != "logger" and name in registry().listed(f"{kind}s"):
        owner = registry().origin(f"{kind}s", name).distribution
        raise UsageError(f"{owner} has the {kind} {name!r} already.", "Choose another name.")


def _is_used(name: str, kind: str) -> bool:
    """Whether the templates import or define what is called as this plugin's function or class would be."""
    words = _words(name, kind)
    own = f"({words['function']}|{words['class']})"
    taken = re.compile(rf"^\s*(import |from \S+ import (.*, )?|class |def ){own}\b", re.MULTILINE)
    return any(taken.search(source.read_text(encoding="utf-8")) for source, _ in _templates(kind))


def _words(name: str, kind: str) -> Mapping[str, str]:
    """What templates speak of."""
    module = f"dlkit_{name.replace('-', '_')}"
    major, minor = __version__.split(".")[:2]
    return {
        "name": name,
        "kind": kind,
        "title": name.replace("-", " ").capitalize(),
        "words": name.replace("-", " "),
        "distribution": f"dlkit-{name}",
        "module": module,
        "constant": name.replace("-", "_").upper(),
        "function": name.replace("-", "_"),
        "class": "".join(word.capitalize() for word in name.split("-")),
        "api": str(API_VERSION),
        "dlkit": f"{major}.{minor}",
        "list": _LISTS[kind],
    }


def _templates(kind: str) -> Iterator[tuple[Traversable, str]]:
    """The templates of a kind, each with the path of what it becomes; ``.txt`` ends it, so that nothing runs it."""
    root = files("dlkit.scaffold") / "templates"
    for part in ("common", kind):
        yield from _below(root / part, "")


def _below(folder: Traversable, prefix: str) -> Iterator[tuple[Traversable, str]]:
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        path = prefix + re.sub(r"^dot-", ".", entry.name)  # a checkout's own tools would act on .github, .gitignore
        if entry.is_dir():
            yield from _below(entry, f"{path}/")
        elif path.endswith(".txt"):
            yield entry, path.removesuffix(".txt")
