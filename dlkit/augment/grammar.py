"""How policies are written: ``NAME[:ARG[:ARG…]][@PROBABILITY] …``, or a TOML file with a table per step. Light.

====================  =======================================================================
``rotate:15``         the augmenter's parameters in order
``noise:gaussian``    a name may have a kind: the longest name that is one is taken
``rotate:10..20``     a range to draw from
``rotate:fill=edge``  a parameter by name
``flip@0.3``          the probability of changing an image
``"a:b@c d"``         quoted: colons, @ and spaces belong to the value
====================  =======================================================================
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlkit.augment.card import AugmenterCard, Parameter, Range, Value, as_path
from dlkit.augment.cards import augmenter, augmenters
from dlkit.augment.policy import Step
from dlkit.opening import read_text
from dlkit.options.suggest import did_you_mean

_QUOTED = r"\"[^\"]*\"|'[^']*'"
_STEP = re.compile(rf"(?:{_QUOTED}|[^\s\"'])+")
_PIECE = re.compile(rf"(?:{_QUOTED}|[^:@\"'])+|[:@]")
_STEP_KEYS = ("augment", "probability")


@dataclass(frozen=True)
class _Word:
    """A piece of the text, and where it begins."""

    text: str
    start: int

    @property
    def plain(self) -> str:
        """Without quotes."""
        return re.sub(r"[\"']", "", self.text)


class _Misfit(ValueError):  # noqa: N818 - never seen by anyone
    """What is wrong with a word."""

    def __init__(self, word: _Word, reason: object) -> None:
        super().__init__(str(reason))
        self.word = word


def read_steps(text: str) -> tuple[Step, ...]:
    """The steps of a policy's text, or of the TOML file that it names.

    Raises:
        ValueError: what is wrong, with a caret under the word.
    """
    if text.strip().endswith(".toml"):
        return _read_file(as_path(text.strip()))
    try:
        steps = tuple(_step(word) for word in list(_words(text)))  # an open quote first
    except _Misfit as misfit:
        line, start, said = " ".join(text.split("\n")), misfit.word.start, str(misfit)
        said += "" if said.endswith((".", "?")) else "."
        raise ValueError(f"{said}\n  {line}\n  {'':{start}}{'^' * max(1, len(misfit.word.text))}") from None
    if not steps:
        raise ValueError('expected augmenters like "rotate:15 flip", got nothing; `dlkit list augmenters` shows them')
    return steps


def _words(text: str) -> Iterator[_Word]:
    end = 0
    for match in _STEP.finditer(text):
        if text[end : match.start()].strip():
            break
        yield _Word(match[0], match.start())
        end = match.end()
    if text[end:].strip():
        start = end + len(text[end:]) - len(text[end:].lstrip())
        raise _Misfit(_Word(text[start:].rstrip(), start), "a quote that is not closed")


def _step(word: _Word) -> Step:
    pieces = [_Word(match[0], word.start + match.start()) for match in _PIECE.finditer(word.text)]
    head, chance = _chance(word, pieces)
    arguments = _arguments(word, head)
    card, used = _card(arguments)
    return Step(card.name, _values(card, arguments[used:]), chance)


def _chance(word: _Word, pieces: Sequence[_Word]) -> tuple[Sequence[_Word], float | None]:
    """The pieces before ``@``, and the probability after it."""
    at = next((place for place, piece in enumerate(pieces) if piece.text == "@"), None)
    if at is None:
        return pieces, None
    said = word.text[pieces[at].start - word.start + 1 :]
    try:
        chance = float(said)
    except ValueError:
        chance = -1.0
    if not 0 <= chance <= 1:
        where = _Word(said or "@", pieces[at].start + bool(said))
        raise _Misfit(where, f"expected a probability between 0 and 1 after @, got {said!r}")
    return pieces[:at], chance


def _arguments(word: _Word, pieces: Sequence[_Word]) -> list[_Word]:
    """What stands between colons."""
    arguments: list[_Word] = []
    empty = True
    for piece in pieces:
        if piece.text == ":":
            if empty:
                raise _Misfit(piece, "a colon with nothing before it")
            empty = True
        else:
            arguments.append(piece)
            empty = False
    if empty:
        raise _Misfit(pieces[-1] if pieces else word, "a name is missing" if not pieces else "nothing after the colon")
    return arguments


def _card(arguments: Sequence[_Word]) -> tuple[AugmenterCard, int]:
    """The augmenter with the longest name that the words begin with, and how many words that takes."""
    known = augmenters()
    for count in range(len(arguments), 0, -1):
        name = ":".join(word.text for word in arguments[:count])
        if name in known:
            return known[name], count
    first = arguments[0]
    kinds = [name.removeprefix(f"{first.text}:") for name in known if name.startswith(f"{first.text}:")]
    if kinds and len(arguments) > 1:
        hint = did_you_mean(arguments[1].text, kinds)
        raise _Misfit(arguments[1], f"{first.text} has no kind {arguments[1].text!r}, only {', '.join(kinds)}. {hint}")
    try:
        return augmenter(first.text), 1
    except ValueError as error:
        raise _Misfit(first, error) from None


def _values(card: AugmenterCard, words: Sequence[_Word]) -> tuple[tuple[str, Value], ...]:
    said: dict[str, Value] = {}
    for place, word in enumerate(words):
        key, equals, text = word.plain.partition("=")
        if equals and key.isidentifier():
            parameter = _named(card, key, word)
        elif place < len(card.parameters):
            parameter, text = card.parameters[place], word.plain
        else:
            takes = f"takes {card.usage}" if card.parameters else "has no parameters"
            raise _Misfit(word, f"{card.name} {takes}: {word.text!r} is too much")
        if parameter.name in said:
            raise _Misfit(word, f"{card.name}: {parameter.name} is said twice")
        try:
            said[parameter.name] = parameter.parse(text)
        except ValueError as error:
            raise _Misfit(word, f"{card.name}: {error}") from None
    return tuple((parameter.name, said[parameter.name]) for parameter in card.parameters if parameter.name in said)


def _named(card: AugmenterCard, key: str, word: _Word) -> Parameter:
    known = {parameter.name: parameter for parameter in card.parameters}
    if key not in known:
        only = f", only {', '.join(known)}" if known else ""
        raise _Misfit(word, f"{card.name} has no parameter {key!r}{only}. {did_you_mean(key, known)}".rstrip())
    return known[key]


def _read_file(path: Path) -> tuple[Step, ...]:
    try:
        table = tomllib.loads(read_text(path))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:  # a thousand brackets are too deep
        raise ValueError(f"{path}: not valid TOML: {error}") from None
    steps = table.pop("step", None)
    if table or not isinstance(steps, list) or not steps or not all(isinstance(step, dict) for step in steps):
        raise ValueError(f'{path}: expected tables [[step]] with augment = "NAME" and its parameters, nothing else')
    return tuple(_step_of(table, f"{path}: step {number}") for number, table in enumerate(steps, 1))


def _step_of(table: Mapping[str, Any], where: str) -> Step:
    name, chance = table.get("augment"), table.get("probability")
    if not isinstance(name, str):
        raise ValueError(f'{where}: expected augment = "NAME", got {name!r}')  # noqa: TRY004
    try:
        card = augmenter(name)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    if chance is not None and not (_is_number(chance) and 0 <= chance <= 1):
        raise ValueError(f"{where}: probability: expected a number between 0 and 1, got {chance!r}")
    known = {parameter.name: parameter for parameter in card.parameters}
    said = {}
    for key, value in table.items():
        if key in _STEP_KEYS:
            continue
        if key not in known:
            hint = did_you_mean(key, [*known, *_STEP_KEYS])
            raise ValueError(
                f"{where}: {name} has no parameter {key!r}, only {', '.join(known) or 'none'}. {hint}".rstrip()
            )
        try:
            said[key] = known[key].parse(_text(value))
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
    return Step(card.name, tuple((key, said[key]) for key in known if key in said), chance)


def _text(value: object) -> str:
    """A TOML value as the grammar writes it."""
    if isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)):
        return f"{value[0]!r}..{value[1]!r}"
    return str(value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def write_toml(steps: Sequence[Step]) -> str:
    """The steps as a file with all parameters, which :func:`read_steps` reads back."""
    import tomli_w

    tables = []
    for step in steps:
        values = {parameter.name: step.value(parameter.name) for parameter in step.card.parameters}
        plain = {name: [v.low, v.high] if isinstance(v, Range) else v for name, v in values.items()}
        tables.append({"augment": step.name, **plain, "probability": step.probability})
    return "\n".join(f"[[step]]\n{tomli_w.dumps(table)}" for table in tables)
