"""The declaration of options: ``code: int = option(32, "Size of the code z.", min=1)``."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Protocol, Self, Union, cast, get_args, get_origin, get_type_hints, runtime_checkable

_KEY = "dlkit"

Place = Literal["", "file", "run", "backbone", "data"]
"""What an option's text names on this machine: nothing; a file or folder; a run (a path, a name, ``latest``); a run
behind ``run:``, else no place; a path unless it is a data set's name."""

Code = Literal["", "builder", "class", "arguments"]
"""What of Python an option's text may name: nothing; ``package.module:function``; the dotted path of a class; what such
a thing is called with."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of every options class: frozen, keyword-only, each field made by :func:`option`."""


@runtime_checkable
class Parsed(Protocol):
    """A value with a syntax of its own (``gaussian:0.3``): ``parse`` raises ValueError, ``str`` inverts it."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The value that the text names.

        Raises:
            ValueError: what is wrong and what was expected.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class _Declaration:
    help: str
    min: float | None
    max: float | None
    exclusive: bool
    bare: str | None
    group: str
    advanced: bool
    metavar: str | None
    place: Place
    code: Code


def option(
    default: Any,
    help: str,
    *,
    min: float | None = None,
    max: float | None = None,
    exclusive: bool = False,
    bare: str | None = None,
    group: str = "",
    advanced: bool = False,
    metavar: str | None = None,
    place: Place = "",
    code: Code = "",
) -> Any:
    """Declare an option as the default of a dataclass field.

    The field's annotation is its type: ``int``, ``float``, ``str``, ``bool``, a ``Literal`` of strings (the
    choices), ``tuple[T, ...]`` (comma-separated), a class with ``parse`` (see :class:`Parsed`), or any of these
    ``| None`` (written ``none``).

    Args:
        default: the value when nothing is said.
        help: one sentence or more, for help and docs.
        min: lower bound of a number (or of each number of a tuple).
        max: upper bound, likewise.
        exclusive: the bounds themselves are not allowed.
        bare: the value of a flag given without one (``--denoise``); ``--no-denoise`` then means ``none``.
        group: heading in the help; an options class's own name where empty.
        advanced: only ``--help-all`` shows it.
        metavar: placeholder in the help.
        place: what the text, or each of several, names on this machine; a run keeps such a value so that it finds it
            from any directory, and an exported file does not tell it. See :mod:`dlkit.places`.
        code: what of Python the text may name; it is not run because a file says so. See :mod:`dlkit.trust`.
    """
    declaration = _Declaration(
        help=help,
        min=min,
        max=max,
        exclusive=exclusive,
        bare=bare,
        group=group,
        advanced=advanced,
        metavar=metavar,
        place=place,
        code=code,
    )
    return dataclasses.field(default=default, metadata={_KEY: declaration})


@dataclass(frozen=True, kw_only=True)
class Option:
    """One declared option, ready for flags, validation and docs.

    Attributes:
        name: the key, snake_case.
        default: its default value, already of its type.
        type: the annotation without ``| None`` and without ``tuple[…, ...]``: ``int``, ``float``, ``str``, ``bool``
            or a :class:`Parsed` class; ``str`` where there are choices.
        choices: the allowed strings of a ``Literal``, or empty.
        optional: ``None`` is allowed.
        many: a comma-separated tuple.
    """

    name: str
    default: Any
    type: type[Any]
    choices: tuple[str, ...]
    optional: bool
    many: bool
    help: str
    min: float | None
    max: float | None
    exclusive: bool
    bare: str | None
    group: str
    advanced: bool
    metavar: str | None
    place: Place
    code: Code

    @property
    def flag(self) -> str:
        """``--kebab-case``."""
        return "--" + self.name.replace("_", "-")


def options_of(cls: type[Options]) -> tuple[Option, ...]:
    """The options that a class declares, inherited ones first.

    Raises:
        TypeError: a field that :func:`option` did not make, or of a type that options cannot have.
    """
    return _declared(cast(Any, cls))  # mypy takes a dataclass for an unhashable instance


@cache
def _declared(cls: type[Any]) -> tuple[Option, ...]:
    hints = get_type_hints(cls)
    return tuple(_option(field, hints[field.name], cls) for field in dataclasses.fields(cls))


def _option(field: dataclasses.Field[Any], hint: Any, cls: type[Options]) -> Option:
    declaration = field.metadata.get(_KEY)
    if not isinstance(declaration, _Declaration):
        raise TypeError(f"{cls.__name__}.{field.name}: declare it with dlkit.options.option(default, help)")
    inner, optional = _strip_optional(hint)
    many = get_origin(inner) is tuple
    if many:
        inner = get_args(inner)[0]
    choices: tuple[str, ...] = ()
    if get_origin(inner) is Literal:
        choices, inner = get_args(inner), str
    if optional and "none" in choices:
        raise TypeError(f"{cls.__name__}.{field.name}: a choice 'none' beside None would be ambiguous")
    if declaration.bare is not None and (inner is bool or not optional):
        raise TypeError(f"{cls.__name__}.{field.name}: bare=… is for optional values (X | None)")
    if inner not in (int, float, str, bool) and not hasattr(inner, "parse"):
        raise TypeError(f"{cls.__name__}.{field.name}: options cannot have the type {hint!r}")
    return Option(
        name=field.name,
        default=field.default,
        type=inner,
        choices=choices,
        optional=optional,
        many=many,
        **{key.name: getattr(declaration, key.name) for key in dataclasses.fields(declaration)},
    )


def _strip_optional(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) not in (Union, types.UnionType):
        return hint, False
    arguments: Sequence[Any] = get_args(hint)
    inner = [argument for argument in arguments if argument is not type(None)]
    if len(inner) != 1 or len(inner) == len(arguments):
        raise TypeError(f"only X | None is allowed as a union, not {hint!r}")
    return inner[0], True
