"""Checks of cards and of the light modules that they stand in."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from typing import NamedTuple

import click

from dlkit.card import Card
from dlkit.errors import UsageError
from dlkit.options import options_of
from dlkit.technique import Advises
from dlkit.testing.command_line import parse_settings
from dlkit.testing.subjects import Subject

HEAVY = ("torch", "torchvision", "numpy", "PIL", "sklearn", "scipy", "skimage", "matplotlib", "rich", "timm", "onnx",
         "onnxruntime", "pandas", "tensorflow", "tensorboard", "transformers")  # fmt: skip
"""What no plugin's module may import, since every command imports it."""

_METHODS = ("plan", "train", "evaluate", "outputs", "inference_module", "state", "load")

SLOW_SECONDS = 1.0
"""A module that takes longer to import than any light one, on however busy a machine."""

_PROBE = """\
import importlib, json, sys, time
import dlkit.cli.main
since = time.perf_counter()
module = importlib.import_module(sys.argv[1])
seconds = time.perf_counter() - since
for hook, function in list(vars(module).items()):
    if hook.startswith("dlkit_") and hasattr(function, "dlkit_impl") and hook not in sys.argv[3].split(","):
        for card in function():
            if hasattr(card, "capabilities"):
                card.capabilities(card.options())
print()
print(json.dumps([seconds, sorted(set(sys.argv[2].split(",")) & set(sys.modules))]))
"""


def card_is_light(subject: Subject) -> None:
    """In a process of its own: the plugin's module is imported, its hooks called, and nothing heavy is there."""
    module = subject.plugin.module.__name__
    probed = _probed(module)
    assert not probed.heavy, (
        f"{module} imports {', '.join(probed.heavy)}, and so does every `dlkit --help`: import them "
        "in the module that the card's implementation names, or within functions"
    )
    assert probed.seconds < SLOW_SECONDS, f"importing {module} takes {probed.seconds:.1f} s; every command waits for it"
    assert not probed.printed, f"importing {module} prints {probed.printed!r}, into what every command prints, JSON too"


class _Probed(NamedTuple):
    """What importing a plugin's module did: heavy packages, seconds, and what it printed."""

    heavy: tuple[str, ...]
    seconds: float
    printed: str


@cache
def _probed(module: str) -> _Probed:
    from dlkit.hookspecs import LOGGER_HOOKS

    words = [module, ",".join(HEAVY), ",".join(LOGGER_HOOKS)]
    done = subprocess.run([sys.executable, "-c", _PROBE, *words], capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, f"importing {words[0]} failed:\n{done.stderr.strip()[-500:]}"
    *printed, last = done.stdout.strip().splitlines()
    seconds, heavy = json.loads(last)
    return _Probed(tuple(heavy), seconds, "\n".join(printed).strip()[:200])


def listed_is_complete(subject: Subject) -> None:
    """A name and one line of summary."""
    _check_summary(subject.card.summary)


def card_is_complete(subject: Subject) -> None:
    """Texts, help of options, capabilities, examples that parse, an implementation with all its methods."""
    card: Card = subject.card
    _check_summary(card.summary)
    assert card.description.strip(), "its description is empty; `dlkit info` shows it"
    assert card.sources, "it names no sources: a paper, a book, or where the idea comes from"
    doc = (card.options.__doc__ or "").strip()
    assert doc and not doc.startswith(card.options.__name__), (  # noqa: PT018
        f"{card.options.__name__} needs a docstring: its first line is the heading in the help"
    )
    silent = [option.name for option in options_of(card.options) if not option.help.strip()]
    assert not silent, f"options without help: {', '.join(silent)}"
    _check_capabilities(card)
    assert card.examples, "it has no examples; help and `dlkit info` show them"
    for example in card.examples:
        _check_example(card, example)
    _check_implementation(card)


def _check_summary(summary: str) -> None:
    assert summary == summary.strip() and "\n" not in summary, f"the summary is not one line: {summary!r}"  # noqa: PT018
    assert summary[:1].upper() == summary[:1] and summary.endswith("."), (  # noqa: PT018
        f"the summary should be a sentence with a capital and a full stop: {summary!r}"
    )


def _check_capabilities(card: Card) -> None:
    try:
        promised = card.capabilities(card.options())
    except Exception as error:
        raise AssertionError(f"capabilities(options) raises {type(error).__name__}: {error}") from error
    assert isinstance(promised, frozenset), f"capabilities(options) gives {promised!r}; expected a frozenset of names"


def _check_example(card: Card, example: str) -> None:
    import shlex

    words = shlex.split(example)
    if words[:1] != ["dlkit"] or card.name not in words[1:3]:
        return  # another command, which shows what can be done with a run
    try:
        parse_settings(card, words[words.index(card.name) + 1 :])
    except (UsageError, click.ClickException) as error:
        raise AssertionError(f"its example {example!r} does not fit: {error}") from error


def _check_implementation(card: Card) -> None:
    implementation = card.load()
    absent = [name for name in _METHODS if not callable(getattr(implementation, name, None))]
    assert not absent, f"{card.implementation} lacks {', '.join(absent)}; see dlkit.technique.Technique"
    if card.advises:
        assert issubclass(implementation, Advises), f"the card says that it advises, but {card.implementation} does not"
    if card.learns_layers:
        card.layer_learner()
