"""Names from outside (files, classes) as text that is safe to print, to parse and to open in a spreadsheet; light."""

from __future__ import annotations

from pathlib import Path

from dlkit.report.figures import clean

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_text(text: str) -> str:
    """Text for a CSV cell; what a spreadsheet would take for a formula gets a leading ``'``.

    Source: OWASP, "CSV Injection". Only for columns of text: a negative number must stay a number.
    """
    return f"'{text}" if text.startswith(_FORMULA) else text


def file_stem(path: Path, limit: int = 150) -> str:
    """An input's stem for the name of an output file: what is not printable becomes ``_``; at most ``limit`` bytes."""
    text = "".join(each if clean(each) == each else "_" for each in path.stem)
    return text.encode()[:limit].decode("utf-8", "ignore") or "_"
