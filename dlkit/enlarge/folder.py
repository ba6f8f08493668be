"""The folder that is filled: files, a journal of those that are whole, and at the end the manifest."""

from __future__ import annotations

import csv
import fcntl
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dlkit.data.manifest import MANIFEST
from dlkit.errors import UsageError
from dlkit.files import write_json, write_text, writing
from dlkit.run.reading import read_object, read_rows

FACTS = "enlarged.json"
"""What the folder was made of and how; where it is, the folder is ours to go on with."""
_JOURNAL = ".journal.jsonl"


class Folder:
    """A folder that is being filled, by one process at a time.

    Args:
        path: new or empty, or filled in part by the same command before.
        facts: plain JSON that decides what is in it.

    Attributes:
        done: file → row of the files that are whole.

    Raises:
        UsageError: something else is there, or it was made otherwise.
    """

    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        self.path, self.facts = path, dict(facts)
        self.done: dict[str, dict[str, Any]] = {}
        self.complete = False
        before = read_object(path / FACTS)
        if before:
            self._check(before.get("facts", {}))
            self.complete = bool(before.get("complete"))
        elif path.exists() and not (path.is_dir() and not any(path.iterdir())):
            raise UsageError(f"{str(path)!r} exists, and nothing is overwritten.", "Choose another folder with --out.")

    def _check(self, before: Mapping[str, Any]) -> None:
        keys = dict.fromkeys([*before, *self.facts])
        other = [f"{key} {before.get(key)} (now {self.facts.get(key)})" for key in keys
                 if before.get(key) != self.facts.get(key)]  # fmt: skip
        if other:
            raise UsageError(
                f"{str(self.path)!r} was made otherwise: {'; '.join(other)}.",
                "Choose another folder with --out, or give the command with which it was begun.",
            )

    @contextmanager
    def open(self) -> Iterator[None]:
        """Fill the folder within the block; what an earlier process finished is in :attr:`done`.

        Raises:
            UsageError: another process fills it.
            DlkitError: it cannot be written.
        """
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / ".lock").open("a")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with the process, whatever ends it
            except BlockingIOError:
                raise UsageError(f"Another process fills {str(self.path)!r}.", "Wait until it ends.") from None
            if not (self.path / FACTS).exists():
                write_json(self.path / FACTS, {"complete": False, "facts": self.facts})
            self._recover()
            with writing(self.path / _JOURNAL), (self.path / _JOURNAL).open("ab") as self._journal:
                yield

    def _recover(self) -> None:
        """Files of the journal that are as long as it says; a machine that fell may have lost others."""
        journal = self.path / _JOURNAL
        rows = read_rows(journal)
        for row in rows:
            file = self.path / row["file"]
            if file.is_file() and file.stat().st_size == row["bytes"]:
                self.done[row["file"]] = row
        if journal.exists():
            with journal.open("rb+") as stream:  # a last line that was cut off
                stream.truncate(stream.read().rfind(b"\n") + 1)

    def write(self, file: str, content: bytes) -> int:
        """Write a file; how many bytes. May be called from any thread.

        Raises:
            DlkitError: it cannot be written.
        """
        target = self.path / file
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        return len(content)

    def note(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """These files are whole: ``{"file", "bytes", …}``."""
        for row in rows:
            self.done[row["file"]] = dict(row)
            self._journal.write(json.dumps(row).encode() + b"\n")
        self._journal.flush()

    def finish(self, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Write the manifest; nothing is missing from now on."""
        text = io.StringIO()
        table = csv.writer(text)
        table.writerow(header)
        table.writerows(rows)
        write_text(self.path / MANIFEST, text.getvalue())
        write_json(self.path / FACTS, {"complete": True, "facts": self.facts})
        (self.path / _JOURNAL).unlink(missing_ok=True)
        self.complete = True
