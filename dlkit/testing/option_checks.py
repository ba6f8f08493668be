"""Checks of options: one meaning wherever they are written, and clear refusals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dlkit.card import Card
from dlkit.errors import PluginError, UsageError
from dlkit.files import scratch_folder
from dlkit.options import Option, options_of
from dlkit.options.coerce import to_text
from dlkit.settings import Settings, resolve
from dlkit.testing.command_line import parse_settings
from dlkit.testing.items import NotApplicable
from dlkit.testing.subjects import Subject

_NONSENSE = "§ nonsense §"


def options_round_trip(subject: Subject) -> None:
    """Each value that can be thought of, as a flag, in Python, and in the config that a run keeps."""
    card: Card = subject.card
    tried = 0
    with scratch_folder("check") as folder:
        path = folder / "config.toml"
        for option in own_options(card):
            for value in _values(option):
                try:
                    said = resolve(card, flags={option.name: value})
                except UsageError:  # a rule of the options among themselves
                    continue
                _check_value(card, option, value, said, path)
                tried += 1
    if not tried:
        raise NotApplicable("it has no options of its own")


def _check_value(card: Card, option: Option, value: Any, said: Settings, path: Path) -> None:
    flag = f"{option.flag} {value!r}"
    typed = parse_settings(card, _words(option, value))
    assert typed == said, (
        f"{flag}: typed as a flag it is {typed.value(option.name)!r}, in Python {said.value(option.name)!r}"
    )
    path.write_text(said.to_toml(), encoding="utf-8")
    kept = resolve(card, config=path)
    assert kept == said, (
        f"{flag}: in a config it becomes {kept.value(option.name)!r}; do parse and str invert one another?"
    )


def _words(option: Option, value: Any) -> list[str]:
    if option.type is bool and not option.many:
        return [option.flag if value else f"--no-{option.flag[2:]}"]
    return [f"{option.flag}={to_text(option, value)}"]


def own_options(card: Card) -> list[Option]:
    """The options that the technique's package declares, without those of dlkit's."""
    theirs = {
        option.name
        for base in card.options.__mro__[1:]
        if base.__module__.partition(".")[0] == "dlkit" and hasattr(base, "__dataclass_fields__")
        for option in options_of(base)
    }
    return [option for option in options_of(card.options) if option.name not in theirs]


def _values(option: Option) -> Iterator[Any]:
    """Some values that the declaration allows."""
    yield option.default
    if option.optional:
        yield None
    one: list[Any] = [*option.choices]
    if option.type is bool:
        one = [True, False]
    elif option.type in (int, float) and not option.choices:
        one = _numbers(option)
    elif option.bare is not None:
        one = [option.type.parse(option.bare) if hasattr(option.type, "parse") else option.bare]
    if not option.many:
        yield from one
    elif one:
        yield from (tuple(one[:1]), tuple(one))


def _numbers(option: Option) -> list[Any]:
    """The bounds, or something within them, or any number."""
    bounds = [bound for bound in (option.min, option.max) if bound is not None]
    if not bounds:
        bounds = [3, 0.25]
    elif option.exclusive and len(bounds) == 2:
        bounds = [sum(bounds) / 2]
    elif option.exclusive:
        bounds = [bounds[0] + (1 if option.min is not None else -1)]
    return [option.type(bound) for bound in bounds if option.type is float or bound == int(bound)]


def bad_options_are_refused(subject: Subject) -> None:
    """Values of the wrong type, out of bounds, or of no meaning; and names that there are not."""
    card: Card = subject.card
    for option in own_options(card):
        for text in _bad(option):
            _check_refused(card, option.name, text)
    _check_refused(card, "no_such_option_as_this", "1", named="no_such_option_as_this")


def _bad(option: Option) -> Iterator[str]:
    if option.type is not str or option.choices:
        yield _NONSENSE
        yield ""
    if option.type in (int, float) and not option.choices:
        yield "nan"
        if option.min is not None:
            yield str(int(option.min) - 1)
        if option.max is not None:
            yield str(int(option.max) + 1)


def _check_refused(card: Card, name: str, text: str, named: str = "") -> None:
    flag = "--" + name.replace("_", "-")
    if text == "" and _takes_nothing(card, name):
        return
    try:
        resolve(card, flags={name: text})
    except UsageError as error:
        assert flag in str(error) or named in str(error), f"{flag} {text!r}: the error names no option: {error}"
    except PluginError:  # the card is broken, whatever the value
        raise
    except Exception as error:
        raise AssertionError(
            f"{flag} {text!r} raises {type(error).__name__}: {error}. parse() should raise ValueError for it"
        ) from error
    else:
        raise AssertionError(f"{flag} {text!r} is accepted")


def _takes_nothing(card: Card, name: str) -> bool:
    return any(option.name == name and option.many for option in options_of(card.options))
