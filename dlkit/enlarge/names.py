"""What files are called: below split and class, after the file that they come from, no two alike. Light."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dlkit.predict.text import file_stem
from dlkit.report.figures import clean

_RESERVED = frozenset({"", ".", "..", "unlabeled", "unlabelled"})


class Names:
    """Gives names that no other file of the folder has, also where capitals do not count."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def free(self, folder: str, stem: str, suffix: str) -> str:
        """``folder/stem.suffix``, or with ``-2``, ``-3``… where that is taken."""
        number = 1
        while True:
            file = f"{folder}/{stem}{suffix}" if number == 1 else f"{folder}/{stem}-{number}{suffix}"
            if file.casefold() not in self._taken:
                self._taken.add(file.casefold())
                return file
            number += 1


def stem_of(name: str) -> str:
    """Of a file's name, in letters that every file system takes."""
    return "".join("_" if letter in '<>:"|?*\\/' else letter for letter in file_stem(Path(name))).strip(". ") or "_"


def folder_of(split: str, label: Sequence[str], *, by_class: bool) -> str:
    """``train/CLASS``; ``train`` where labels are no classes; ``train/unlabeled`` where one is unknown.

    The manifest says what the labels are; the folder's name is for people, and may be a little different.
    """
    if not by_class:
        return split
    (name,) = label
    if not name:
        return f"{split}/unlabeled"
    safe = "".join("_" if letter in '<>:"|?*\\/' else letter for letter in clean(name))[:80].strip(". ")
    return f"{split}/{safe}_" if safe.casefold() in _RESERVED else f"{split}/{safe}"
