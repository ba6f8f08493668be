"""The backbones that can be named: timm's, torchvision's, plugins'; what is known of each, and what can be counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
from torchvision import models

from dlkit.backbones import torchvision_source
from dlkit.backbones.build import assembled
from dlkit.backbones.card import BackboneCard
from dlkit.backbones.hub import cached_from_hub, cached_from_url
from dlkit.backbones.measure import count, draft_on_meta
from dlkit.discovery import registry
from dlkit.errors import DataError, DlkitError
from dlkit.files import cache_home, read_json, write_json

COUNTED = 60
"""Of so many networks at most the weights and activations are counted: each has to be built for it."""


@dataclass(frozen=True)
class Entry:
    """A backbone with its weights, as a row of ``dlkit list backbones``.

    Attributes:
        name: for ``--backbone``.
        source: ``timm``, ``torchvision`` or ``plugin``.
        input: channels, height and width that the weights were trained for.
        licence: of the weights; empty where nobody says.
        cached: whether the weights are on this machine; None where there are none to fetch.
        parameters: of the network with its classifier; None where not counted.
        activations: outputs of convolutions and matrix products for one image, see :mod:`dlkit.backbones.measure`.
        features: size of the top features.
        summary: of a plugin's.
    """

    name: str
    source: str
    input: tuple[int, int, int]
    licence: str = ""
    cached: bool | None = None
    parameters: int | None = None
    activations: int | None = None
    features: int | None = None
    summary: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def entries(pattern: str) -> list[Entry]:
    """All whose name matches a pattern of ``*`` and ``?``, plugins' first; with their numbers where they are few."""
    found = [entry for entry in _all() if fnmatchcase(entry.name, pattern)]
    if len(found) > COUNTED:
        return found
    known = _known()
    before = len(known)
    counted = [_counted(entry, known) for entry in found]
    if len(known) > before:
        with suppress(DlkitError):  # a cache that cannot be written costs time only
            write_json(_numbers_file(), known)
    return counted


def _all() -> Iterator[Entry]:
    for name, card in registry().listed("backbones").items():
        if isinstance(card, BackboneCard):
            shape = (len(card.mean), *card.image_size)
            yield Entry(name, "plugin", shape, card.licence, None, summary=card.summary)
    with_weights = timm.list_models(pretrained=True)
    without = set(timm.list_models()) - {name.partition(".")[0] for name in with_weights}
    for name in sorted([*with_weights, *without]):
        cfg: Any = timm.get_pretrained_cfg(name)
        yield Entry(name, "timm", tuple(cfg.input_size), cfg.license or "", _is_cached(cfg))
    for name in torchvision_source.names():
        for weights in models.get_model_weights(name):
            reference = f"{torchvision_source.PREFIX}{name}.{weights.name}"
            side = weights.transforms().crop_size[0]
            licence = weights.meta.get("license", "")
            cached = cached_from_url(weights.url) is not None
            yield Entry(reference, "torchvision", (3, side, side), licence, cached)


def _is_cached(cfg: Any) -> bool | None:
    if cfg.hf_hub_id:
        return cached_from_hub(cfg.hf_hub_id, cfg.hf_hub_filename) is not None
    return cached_from_url(cfg.url) is not None if cfg.url else None


def _counted(entry: Entry, known: dict[str, list[int]]) -> Entry:
    """The entry with its numbers; those of timm's and torchvision's networks are added to ``known``."""
    draft_of = entry.name if entry.source != "timm" else _architecture(entry.name)
    key = f"{draft_of} {entry.input}"
    numbers = known.get(key) if entry.source != "plugin" else None  # whose code may be another by now
    if numbers is None:
        try:
            numbers = _numbers(draft_of, entry.input)
        except DlkitError:  # a plugin's that cannot be built, say: the row stays, without numbers
            return entry
    if entry.source != "plugin":
        known[key] = numbers
    parameters, activations, features = numbers
    return replace(entry, parameters=parameters, activations=activations, features=features)


def _numbers_file() -> Path:
    """Where the numbers of networks are kept, which are the same as long as the libraries are."""
    versions = f"timm-{timm.__version__}-torchvision-{torchvision.__version__}"
    return cache_home() / "backbones" / f"{versions}.json"


def _known() -> dict[str, list[int]]:
    """What was counted before; a broken file is no file."""
    with suppress(DataError):
        kept = read_json(_numbers_file())
        if isinstance(kept, dict):
            return {key: numbers for key, numbers in kept.items() if _are_numbers(numbers)}
    return {}


def _are_numbers(value: object) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(type(each) is int for each in value)


def _architecture(name: str) -> str:
    """timm's name without the tag where its weights change nothing of the network: one is counted for all of them."""
    plain = name.partition(".")[0]
    own, default = timm.get_pretrained_cfg(name), timm.get_pretrained_cfg(plain)
    keys = ("input_size", "num_classes", "fixed_input_size")
    same = all(getattr(own, key) == getattr(default, key) for key in keys)
    return plain if same else name


def _numbers(reference: str, shape: tuple[int, int, int]) -> list[int]:
    """Parameters, activations, features."""
    draft = draft_on_meta(reference, {})
    with torch.no_grad():
        outputs, _ = count(draft, (shape[1], shape[2]))
    parameters = sum(parameter.numel() for parameter in draft.network.parameters())
    backbone = assembled(reference, draft, None, None, keep_classifier=False)
    return [parameters, outputs.products, backbone.size]
