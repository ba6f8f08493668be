"""From what a person wrote (a flag's text, a TOML value, a Python argument) to an option's value, and back."""

from __future__ import annotations

import math
import os
import re
from typing import Any

from dlkit.errors import UsageError
from dlkit.options.declare import Option
from dlkit.options.suggest import did_you_mean

NONE = "none"
"""How ``None`` is written on the command line and in TOML, which has no null."""

_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_NAMES = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
_METAVARS = {int: "N", float: "X", str: "TEXT", bool: "true|false"}
_PLURALS = {int: "whole numbers", float: "numbers", str: "texts", bool: "true or false"}


def coerce(option: Option, raw: object, where: str) -> Any:
    """The value of an option, checked against its type, choices and bounds.

    Args:
        option: the declaration.
        raw: a string as a flag gives it, a value as TOML gives it, or a value that already has the option's type.
        where: the flag, or file and key, that errors name.

    Raises:
        UsageError: the value does not fit; the message names ``where``, the value and what was expected.
    """
    if option.bare is not None and isinstance(raw, bool):
        raw = option.bare if raw else None
    if raw is None or raw == NONE:
        if option.optional:
            return None
        if raw is None:
            raise _refusal(option, NONE, where)
    if option.many:
        return tuple(_one(option, item, where) for item in _items(option, raw, where))
    return _one(option, raw, where)


def to_plain(option: Option, value: Any) -> str | int | float | bool | list[Any]:
    """The value as TOML and JSON hold it; :func:`coerce` inverts it."""
    if value is None:
        return NONE
    if option.many:
        return [_plain(item) for item in value]
    return _plain(value)


def to_text(option: Option, value: Any) -> str:
    """The value as one writes it on the command line."""
    if isinstance(value, bool):
        return str(value).lower()
    plain = to_plain(option, value)
    return ",".join(str(item) for item in plain) if isinstance(plain, list) else str(plain)


def expectation(option: Option) -> str:
    """What an option takes, in words: ``a whole number of at least 1, or none``."""
    names = _PLURALS if option.many else _NAMES
    if option.choices:
        what = "one of " + ", ".join(option.choices)
        what = f"any of {what.removeprefix('one of ')}, separated by commas" if option.many else what
    else:
        what = names.get(option.type) or metavar(option)
        what += bounds(option)
        what = f"{what}, separated by commas" if option.many else what
    return f"{what}, or none" if option.optional else what


def metavar(option: Option) -> str:
    """The placeholder of the value in help: ``N``, ``dense|conv``, ``TIME``."""
    if option.metavar:
        return option.metavar
    one = "|".join(option.choices) if option.choices else _METAVARS.get(option.type, option.type.__name__.upper())
    return f"{one},…" if option.many else one


def bounds(option: Option) -> str:
    """The bounds of a number in words, with a leading space, or an empty string."""
    low, high = (None if bound is None else f"{bound:.10g}" for bound in (option.min, option.max))
    if low is not None and high is not None:
        return f" between {low} and {high}" + (", both excluded" if option.exclusive else "")
    if low is not None:
        return f" greater than {low}" if option.exclusive else f" of at least {low}"
    if high is not None:
        return f" less than {high}" if option.exclusive else f" of at most {high}"
    return ""


def _plain(value: Any) -> str | int | float | bool:
    return value if isinstance(value, (str, int, float, bool)) else str(value)


def _items(option: Option, raw: object, where: str) -> list[object]:
    if isinstance(raw, (list, tuple)):
        return list(raw)
    if isinstance(raw, str):
        return [item.strip() for item in raw.split(",")] if raw.strip() else []
    if isinstance(raw, (bool, dict)):
        raise _refusal(option, raw, where)
    return [raw]  # layers = 512 in a config means one layer


def _one(option: Option, raw: object, where: str) -> Any:
    if option.choices:
        return _choice(option, raw, where)
    if option.type is bool:
        return _boolean(option, raw, where)
    if option.type in (int, float):
        return _number(option, raw, where)
    if option.type is str:
        return _text(option, raw, where)
    return _parsed(option, raw, where)


def _choice(option: Option, raw: object, where: str) -> str:
    text = str(raw) if isinstance(raw, int) and not isinstance(raw, bool) else raw  # channels = 3 in a config
    if isinstance(text, str) and text in option.choices:
        return text
    raise _refusal(option, raw, where, did_you_mean(raw, option.choices) if isinstance(raw, str) else "")


def _boolean(option: Option, raw: object, where: str) -> bool:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw.strip().lower() in _BOOLEANS:
        return _BOOLEANS[raw.strip().lower()]
    raise _refusal(option, raw, where)


def _number(option: Option, raw: object, where: str) -> int | float:
    number = _as_int(raw) if option.type is int else _as_float(raw)
    if number is None or not _within(option, number):
        raise _refusal(option, raw, where)
    return number


def _as_int(raw: object) -> int | None:
    if isinstance(raw, str):
        # 18 digits fit the 64 bits of TOML's integers.
        return int(raw) if re.fullmatch(r"\s*[+-]?\d{1,18}\s*", raw, re.ASCII) else None
    if isinstance(raw, (bool, float)) or not hasattr(raw, "__index__"):
        return None
    number = int(raw.__index__())  # int, and NumPy's integers
    return number if abs(number) < 10**18 else None


def _as_float(raw: object) -> float | None:
    if isinstance(raw, bool) or not (isinstance(raw, str) or hasattr(raw, "__float__")):
        return None
    try:
        number = float(raw)
    except (ValueError, TypeError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _within(option: Option, number: float) -> bool:
    if option.exclusive:
        return (option.min is None or number > option.min) and (option.max is None or number < option.max)
    return (option.min is None or number >= option.min) and (option.max is None or number <= option.max)


def _text(option: Option, raw: object, where: str) -> str:
    text = os.fspath(raw) if isinstance(raw, os.PathLike) else raw
    if not isinstance(text, str):
        raise _refusal(option, raw, where)
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes of a file name that no config file could hold
        raise UsageError(f"{where}: {text!r} is not valid UTF-8.", "Rename the file, or use a link to it.") from None
    return text


def _parsed(option: Option, raw: object, where: str) -> Any:
    if isinstance(raw, option.type):
        return raw
    if isinstance(raw, bool) or not isinstance(raw, (str, int, float)):
        raise _refusal(option, raw, where)
    try:
        return option.type.parse(str(raw))
    except ValueError as error:
        text = str(error).strip()
        raise UsageError(f"{where}: {text if text.endswith(('.', '?', '^')) else text + '.'}") from error


def _refusal(option: Option, raw: object, where: str, hint: str = "") -> UsageError:
    shown = NONE if raw is NONE else repr(raw)
    return UsageError(f"{where}: expected {expectation(option)}, got {shown}.", hint)
