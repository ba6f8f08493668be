"""Code that options name (``--backbone package.module:function``): run when a person asked for it, not when a file did.

A config, a run and a model may come from a stranger, and what they name would be imported and called. So a value that
names code is taken from the command line and from Python; from a file only where a training on this machine has been
asked for with the same values before, or where the environment variable ``DLKIT_TRUST`` names it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from dlkit.errors import DlkitError, UsageError
from dlkit.files import cache_home, write_text
from dlkit.options.declare import Option

TRUST = "DLKIT_TRUST"
"""Environment variable: what may be loaded, comma-separated: ``package.module:function``, dotted paths of classes."""


def trusted_names() -> set[str]:
    """What the user trusts by the environment."""
    return {name.strip() for name in os.environ.get(TRUST, "").split(",")} - {""}


def check(options: Sequence[Option], values: Mapping[str, Any], said: Mapping[str, str]) -> None:
    """Refuse code that only a file names.

    Args:
        options: of the technique and the core.
        values: option → its value.
        said: option → where it was said, for those whose value is a file's.

    Raises:
        UsageError: with the option, the value, and how to say that it is meant.
    """
    named = [(option, text) for option in options if option.name in said for text in _code(option, values[option.name])]
    unknown = [(option, text) for option, text in named if text not in trusted_names()]
    if not unknown or _marker(options, values).exists():
        return
    option, text = unknown[0]
    raise UsageError(
        f"{said[option.name]}: {text} is code that would be run, and it is only a file that asks for it.",
        f"Where you know what it does: {option.flag} {text} on the command line, or {TRUST}={text}.",
    )


def remember(options: Sequence[Option], values: Mapping[str, Any]) -> None:
    """A training with these values was asked for: files with the same values are this user's own from now on."""
    if any(True for option in options for _ in _code(option, values[option.name])):
        with suppress(DlkitError):  # a cache that cannot be written: the user is asked again
            write_text(_marker(options, values), "")


def _code(option: Option, value: Any) -> Iterator[str]:
    """What of an option's value names code."""
    for text in (value or ()) if option.many else (value,):
        builder = option.code == "builder" and ":" in str(text) and not str(text).startswith(("run:", "torchvision/"))
        if builder or (option.code == "class" and "." in str(text) and not str(text).startswith("sklearn.")):
            yield str(text)


def _marker(options: Sequence[Option], values: Mapping[str, Any]) -> Any:
    """A file that exists where the code, and what it is called with, was asked for here."""
    called = {option.name: repr(values[option.name]) for option in options if option.code}
    return cache_home() / "trusted" / hashlib.sha256(json.dumps(called, sort_keys=True).encode()).hexdigest()[:40]
