"""A check of a subject, and how it ended."""

from __future__ import annotations

import re
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import import_module
from typing import Literal

from dlkit.errors import DlkitError, Interrupted, PluginError
from dlkit.options.suggest import did_you_mean
from dlkit.testing.checks import CHECKS, Check
from dlkit.testing.subjects import Subject, subjects_named

Result = Literal["passed", "failed", "excepted", "skipped"]
"""``excepted``: the card declares that it cannot hold, and why; ``skipped``: it does not apply."""


class NotApplicable(Exception):  # noqa: N818 - nothing is wrong
    """Raised by a check that has nothing to look at; the message says why."""


@dataclass(frozen=True)
class Outcome:
    """How a check ended.

    Attributes:
        result: see :data:`Result`.
        detail: what is wrong, or why it was not checked; empty where it passed.
        trace: of an error that a plugin should not have raised.
    """

    result: Result
    detail: str = ""
    trace: str = ""


@dataclass(frozen=True)
class Item:
    """A check of a subject; calling it raises AssertionError where the promise is broken."""

    subject: Subject
    check: Check

    @property
    def id(self) -> str:
        """As pytest shows it: ``rotation-seed_repeats``."""
        return f"{self.subject.name}-{self.check.name}"

    @property
    def exception(self) -> str:
        """Why the card says that the check cannot hold; empty where it does not."""
        return self.subject.trial.exceptions.get(self.check.name, "")

    @property
    def parts(self) -> dict[str, str]:
        """Parts of the check that the card excepts, such as single figures, with the reasons."""
        prefix = f"{self.check.name}:"
        declared = self.subject.trial.exceptions.items()
        return {key.removeprefix(prefix): reason for key, reason in declared if key.startswith(prefix)}

    def __call__(self) -> None:
        """Run the check.

        Raises:
            AssertionError: the promise is broken; the message says how, and what to do.
            NotApplicable: there is nothing to check.
        """
        module, _, function = self.check.implementation.partition(":")
        getattr(import_module(module), function)(self.subject)

    def run(self) -> Outcome:
        """Run the check unless the card declares an exception, and tell how it ended."""
        if self.exception:
            return Outcome("excepted", self.exception)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of libraries, about data that is tiny and odd on purpose
                self()
        except Interrupted:  # the user stops the checks, not this one
            raise
        except NotApplicable as reason:
            return Outcome("skipped", str(reason))
        except AssertionError as error:
            return Outcome("failed", str(error) or "an assertion failed", traceback.format_exc())
        except Exception as error:  # whatever a stranger's code raises
            told = str(error) if isinstance(error, DlkitError) else f"{type(error).__name__}: {error}"
            return Outcome("failed", f"{told}\n{self._place(error)}".rstrip(), traceback.format_exc())
        return Outcome("passed")

    def _place(self, error: Exception) -> str:
        """Where in the plugin's own code an error came about; empty where it did not."""
        modules = self.subject.plugin.module.__name__, str(getattr(self.subject.card, "implementation", ""))
        own = {re.split("[.:]", module)[0] for module in modules}
        for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
            module = str(frame.f_globals.get("__name__"))
            if module.partition(".")[0] in own:
                return f"({module}, line {line}, in {frame.f_code.co_name})"
        return ""


def items_of(name: str, only: str = "*") -> list[Item]:
    """The checks of what a name stands for (see :func:`.subjects_named`), those whose own name matches ``only``.

    Raises:
        UsageError: nothing has that name.
        PluginError: a card declares an exception to a check that there is none of, or without a reason.
    """
    return [
        item for subject in subjects_named(name) for item in _checks_of(subject) if fnmatchcase(item.check.name, only)
    ]


def _checks_of(subject: Subject) -> Iterator[Item]:
    checks = [check for check in CHECKS if check.kind == subject.kind]
    names = [check.name for check in checks]
    for excepted, reason in subject.trial.exceptions.items():
        name = excepted.partition(":")[0]
        if name not in names:
            hint = did_you_mean(name, names)
            raise PluginError(f"{subject.name}: its trial excepts {name!r}, but there is no such check.", hint)
        if not reason.strip():
            raise PluginError(f"{subject.name}: its trial excepts {excepted!r} without a reason.", "Say why.")
    return (Item(subject, check) for check in checks)
