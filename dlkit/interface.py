"""The plugin interface's version: what is accepted, what is refused with which remedy, how something is taken away.

The number rises where something that plugins use is removed or changes its meaning, never where something is added.
A plugin of the version before goes on working for as long as :data:`OLDEST_API` says. What is going to be removed is
marked with :func:`deprecated` at least one release before, and ``dlkit plugins check`` finds who uses it. The policy
in full is docs/plugin-interface.md.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from dlkit import hookspecs
from dlkit.card import API_VERSION
from dlkit.options.suggest import did_you_mean

if TYPE_CHECKING:
    from types import ModuleType

OLDEST_API = 1
"""The oldest version of the interface for which plugins are still loaded."""

_HOOKS = tuple(name for name in vars(hookspecs) if name.startswith("dlkit_"))
_P = ParamSpec("_P")
_T = TypeVar("_T")


class DlkitDeprecationWarning(DeprecationWarning):
    """Something of the interface that a coming release takes away; the message says what to use instead."""


def deprecated(since: str, removed: str, instead: str) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
    """Mark a public function or class as going away: whoever calls it is told, and it works as before.

    Args:
        since: the release that says so first, such as ``0.2``.
        removed: the release that is to be without it, at least the next one.
        instead: what to use, a sentence.

    Raises:
        ValueError: ``removed`` is no later release than ``since``.
    """
    if _release(removed) <= _release(since):
        raise ValueError(f"what is deprecated since {since} stays for that release, so it cannot go in {removed}")

    def mark(function: Callable[_P, _T]) -> Callable[_P, _T]:
        name = f"{function.__module__}.{function.__qualname__}"
        text = f"{name} is deprecated since dlkit {since}, and removed in {removed}. {instead}"
        if isinstance(function, type):  # which stays one, so that there may be subclasses
            made: Any = function
            made.__init__ = _telling(made.__init__, text)
            return function
        return _telling(function, text)

    return mark


def _telling(function: Callable[_P, _T], text: str) -> Callable[_P, _T]:
    """A function that warns whoever calls it, and then does what it did."""

    @wraps(function)
    def warned(*arguments: _P.args, **keywords: _P.kwargs) -> _T:
        warnings.warn(text, DlkitDeprecationWarning, stacklevel=2)
        return function(*arguments, **keywords)

    return warned


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))


def wrong_api(module: ModuleType, distribution: str) -> str:
    """Why a plugin's module is not for this interface, and what to do; empty where it is."""
    version = getattr(module, "DLKIT_API", None)
    if version is None:
        return f"it does not state its interface version: add `DLKIT_API = {API_VERSION}` to {module.__name__}"
    if type(version) is int and OLDEST_API <= version <= API_VERSION:
        return ""
    if type(version) is int and version > API_VERSION:
        remedy = "upgrade dlkit (pip install --upgrade dlkit)"
    else:
        remedy = f"upgrade the plugin (pip install --upgrade {distribution})"
    accepted = f"{API_VERSION}" if OLDEST_API == API_VERSION else f"{OLDEST_API} to {API_VERSION}"
    return f"it is written for interface version {version!r}, this dlkit has {accepted}: {remedy}"


def wrong_hooks(module: ModuleType) -> list[str]:
    """Hooks of a plugin's module that there are not, or that are not marked."""
    reasons = []
    for name, function in vars(module).items():
        marked = getattr(function, "dlkit_impl", None)
        own = getattr(function, "__module__", None) == module.__name__ and callable(function)
        if not name.startswith("dlkit_") or not (marked or own) or (marked or {}).get("optionalhook"):
            continue
        if name not in _HOOKS:
            reasons.append(f"the hook {name!r} does not exist. {did_you_mean(name, _HOOKS)}".rstrip())
        elif not marked:
            reasons.append(f"{name}() is not marked: put @dlkit.hookspecs.hookimpl above it")
    return reasons
