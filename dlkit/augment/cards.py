"""The installed augmenters by name. Light."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from dlkit.augment.card import AugmenterCard
from dlkit.discovery import registry
from dlkit.options.suggest import did_you_mean


def augmenters() -> Mapping[str, AugmenterCard]:
    """All of them; one whose name was taken is called ``distribution/name``."""
    return cast("Mapping[str, AugmenterCard]", registry().listed("augmenters"))


def augmenter(name: str) -> AugmenterCard:
    """The augmenter of a name.

    Raises:
        ValueError: there is none.
    """
    known = augmenters()
    if name in known:
        return known[name]
    kinds = sorted(full for full in known if full.startswith(f"{name}:"))
    if kinds:
        raise ValueError(f"{name!r} needs a kind: {', '.join(kinds)}")
    hint = did_you_mean(name, known) or "`dlkit list augmenters` shows those of the plugins that are installed."
    raise ValueError(f"there is no augmenter {name!r}. {hint}")
