"""Names that come from users' files: how they are shown, in which order they stand, and how tables hold them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dlkit.report.figures import clean

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def shown(name: object) -> str:
    """Text that can always be printed: bytes of a file name that are not UTF-8 become ``\\udcff``."""
    return str(name).encode("utf-8", "backslashreplace").decode("utf-8")


def natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key under which ``class2`` comes before ``class10``."""
    parts = re.split(r"([0-9]+)", name)  # every other part is a number
    return [_number(part) if index % 2 else (1, 0, part) for index, part in enumerate(parts) if part], name


def _number(digits: str) -> tuple[int, int, str]:
    """Of any length; Python refuses to read numbers of more than 4300 digits."""
    digits = digits.lstrip("0")
    return 0, len(digits), digits


def enumerated(names: Sequence[str], most: int = 20) -> str:
    """One name per line, however many lines a name has itself; the first ``most`` and then a count."""
    lines = [f"  {clean(name)}" for name in names[:most]]
    if len(names) > most:
        lines.append(f"  … and {len(names) - most:,} more")
    return "\n".join(lines)


def csv_text(text: str) -> str:
    """Text for a CSV cell; what a spreadsheet would take for a formula gets a leading ``'``.

    Source: OWASP, "CSV Injection". Only for columns of text: a negative number must stay a number.
    """
    return f"'{text}" if text.lstrip("'").startswith(_FORMULA) else text


def csv_meaning(cell: str) -> str:
    """The inverse of :func:`csv_text`, so that classes of tables that dlkit wrote are called what they were called."""
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(_FORMULA) else cell
