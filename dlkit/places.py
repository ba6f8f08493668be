"""Options that name places on this machine (``option(place=...)``): made absolute for a run, cut to names for export.

A run must find its data, weights and members from any directory, and ``latest`` must go on meaning the run that was
latest when training began; a file that is handed on should not tell where its maker keeps things.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlkit import ranks
from dlkit.files import user_path
from dlkit.options import Option, options_of
from dlkit.settings import Settings

if TYPE_CHECKING:
    from dlkit.data.spec import DataSpec

_RUN = "run:"
_OWN = "-"  # among several files: this one keeps its own


def anchored(settings: Settings) -> Settings:
    """The settings with the places that they name made absolute; names stay.

    Raises:
        UsageError: there is no such run.
    """
    return _changed(settings, partial(_absolute, root=user_path(settings.run.runs)))


def tell_of_runs(settings: Settings, warn: Callable[[str], None]) -> None:
    """Say where a run is going to be, where only a file says so and it is elsewhere."""
    place = user_path(settings.run.runs).absolute()
    if "runs" in settings.from_file and ranks.count() == 1 and not place.resolve().is_relative_to(Path.cwd()):
        warn(f"The config has the run made in {str(place)!r}, outside the current directory; --runs DIR chooses.")


def portable(settings: Settings) -> Settings:
    """The settings with places cut to their last part: ``/home/ann/ants`` → ``ants``."""
    policy = settings.augment.augment
    augment = dataclasses.replace(settings.augment, augment=policy and policy.portable())
    return dataclasses.replace(_changed(settings, _last_part), augment=augment)


def recipe_of(settings: Settings, spec: DataSpec) -> dict[str, Any]:
    """What :func:`dlkit.settings.resolve` and ``DataSpec.from_json`` need to build a run's technique again, as JSON
    can hold it: ``technique``, ``options``, ``spec``. It says nothing of this machine.
    """
    own = {option.name for option in options_of(settings.card.options)}
    options = {key: value for key, value in portable(settings).to_plain().items() if key in own}
    named = dataclasses.replace(spec, source=spec.name)
    return {"technique": settings.card.name, "options": options, "spec": named.to_json()}


def _changed(settings: Settings, change: Callable[[Option, str], str]) -> Settings:
    parts = {name: getattr(settings, name) for name in ("options", "data", "runtime", "run")}
    return dataclasses.replace(
        settings, **{name: dataclasses.replace(part, **_changes(part, change)) for name, part in parts.items()}
    )


def _changes(part: Any, change: Callable[[Option, str], str]) -> Mapping[str, Any]:
    """Option → its value, changed, of those that name places."""
    changes = {}
    for option in options_of(type(part)):
        value = getattr(part, option.name)
        if option.place and value is not None:
            changes[option.name] = (
                tuple(change(option, each) for each in value) if option.many else change(option, value)
            )
    return changes


def _absolute(option: Option, text: str, root: Path) -> str:
    if option.place == "run" or (option.place == "backbone" and text.startswith(_RUN)):
        from dlkit.run.directory import find_run

        prefix = _RUN if option.place == "backbone" else ""
        return prefix + str(find_run(text.removeprefix(prefix), root))
    if not _is_path(option, text):
        return text
    return str(user_path(text).absolute())


def _last_part(option: Option, text: str) -> str:
    if option.place == "run" or (option.place == "backbone" and text.startswith(_RUN)):
        prefix = _RUN if option.place == "backbone" else ""
        return prefix + Path(text.removeprefix(prefix)).name
    return Path(text).name if _is_path(option, text) else text


def _is_path(option: Option, text: str) -> bool:
    if option.place == "data":
        return _is_data_path(text)
    return option.place == "file" and text != _OWN


def _is_data_path(text: str) -> bool:
    """Not for a misspelt name, which the error should show as it was typed. IDX files are named by how they begin."""
    from dlkit.data.resolve import catalog

    if not text.strip() or text.lower() in catalog():
        return False
    path = user_path(text)
    return path.name != text or any(each.startswith(text) for each in os.listdir())  # noqa: PTH208 - names only
