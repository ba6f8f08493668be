"""The pages of the documentation, taken apart: fenced blocks, commands with what they print, headings, links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_FENCE = re.compile(r"(`{3,})(\w*)\s*$")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block; ``line`` is that of its opening fence."""

    language: str
    text: str
    line: int


@dataclass(frozen=True)
class Command:
    """What stands after a ``$``, and the lines below it up to the next one."""

    text: str
    output: tuple[str, ...]
    line: int


def name(page: Path) -> str:
    """The page's path in the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order; an unclosed one is an error."""
    opened: tuple[str, str, int] | None = None
    inside: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        fence = _FENCE.match(line)
        if opened is None and fence:
            opened, inside = (fence[1], fence[2], number), []
        elif opened is not None and line.rstrip() == opened[0]:
            yield Block(opened[1], "\n".join(inside), opened[2])
            opened = None
        elif opened is not None:
            inside.append(line)
    assert opened is None, f"{name(page)}: the block of line {opened[2]} is not closed"


def commands(block: Block) -> Iterator[Command]:
    """The commands of a console block."""
    found: list[tuple[str, list[str], int]] = []
    for number, line in enumerate(block.text.splitlines(), start=block.line + 1):
        if line.startswith("$ "):
            found.append((line[2:], [], number))
        elif found and not found[-1][1] and found[-1][0].endswith("\\"):
            found[-1] = (found[-1][0][:-1] + line.strip(), [], found[-1][2])
        elif found:
            found[-1][1].append(line)
    return (Command(text, tuple(output), number) for text, output, number in found)


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    text, inside = [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            inside = not inside
        elif not inside:
            text.append(line)
    return "\n".join(text)


def links(page: Path) -> list[str]:
    """The targets of a page's links."""
    return _LINK.findall(re.sub(r"`[^`\n]*`", "`…`", prose(page)))


def anchors(page: Path) -> set[str]:
    """The fragments that a page's headings have, as GitHub makes them."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?)\s*$", prose(page), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        candidate, count = slug, 0
        while candidate in found:
            count += 1
            candidate = f"{slug}-{count}"
        found.add(candidate)
    return found
