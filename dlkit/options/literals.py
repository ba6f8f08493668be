"""Numbers and other literals as texts, and back; light."""

from __future__ import annotations

import ast
from typing import Any


def shortest(number: float) -> str:
    """The shortest text that ``float`` reads back as the same number: ``0.1``, ``3``."""
    return repr(float(number)).removesuffix(".0")


def literal(text: str) -> Any:
    """A Python literal where the text reads as one; ``true``, ``false``, ``none`` in any case; else the text."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):  # the last two of brackets within brackets
        return {"true": True, "false": False, "none": None}.get(text.strip().lower(), text.strip())
