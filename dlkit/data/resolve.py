"""What ``--data`` names: a data set's name, a folder, a manifest, an archive, IDX files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import cast

from dlkit.data.folders import list_folder
from dlkit.data.idx import idx_parts, idx_single, list_idx_file, list_idx_parts, looks_like_idx
from dlkit.data.listing import Listing
from dlkit.data.manifest import folder_manifest, list_manifest
from dlkit.data.names import DATASETS, DatasetCard
from dlkit.data.npz import list_npz
from dlkit.data.text import shown
from dlkit.display import Display
from dlkit.errors import DataError, PluginError
from dlkit.options.suggest import did_you_mean

_FORMS = "a data set's name, a folder, a CSV manifest, an .npz archive or IDX files"


def catalog() -> Mapping[str, DatasetCard]:
    """The named data sets: dlkit's, and those that plugins bring."""
    from dlkit.discovery import registry

    return {**cast(Mapping[str, DatasetCard], registry().listed("datasets")), **DATASETS}


def source_of(data: str) -> str:
    """What a run records: a data set's name, or an absolute path."""
    return data.lower() if data.lower() in catalog() else shown(Path(data).expanduser().resolve())


def resolve(data: str, display: Display, label: tuple[str, ...] = (), *, label_needed: bool = True) -> Listing:
    """List the images that ``--data`` names.

    Args:
        data: what it names.
        display: where a download shows its progress.
        label: columns of a manifest; other data has none, and no use for them.
        label_needed: a manifest without them is an error.

    Raises:
        DataError: there is no such data, or it cannot be used.
    """
    if not data.strip():  # an empty shell variable: not the folder that one happens to be in
        raise DataError("--data is empty.", f"It takes {_FORMS}.")
    card = catalog().get(data.lower())
    if card is not None:
        return _named(card, data, display)
    try:
        found = _at_path(Path(data).expanduser(), partial(list_manifest, label=label, needed=label_needed))
    except (OSError, RuntimeError) as error:  # no permission, too long a name, no such user
        raise DataError(f"{shown(data)!r} cannot be looked at: {shown(error)}") from error
    if found is None:
        raise _nothing(data)
    return found


def _at_path(path: Path, manifest: Callable[[Path], Listing]) -> Listing | None:
    """What a path, or the beginning of one, leads to."""
    if "\0" in str(path):
        return None
    if path.is_dir():
        own = folder_manifest(path)
        if own is not None:
            return manifest(own)
        parts = idx_parts(path)
        return list_idx_parts(parts, shown(path.resolve().name)) if parts else list_folder(path)
    if path.is_file():
        return _file(path, manifest)
    parts = idx_parts(path.parent, path.name)
    if parts:
        return list_idx_parts(parts, shown(path.name))
    single = idx_single(path.parent, path.name)
    return None if single is None else list_idx_file(single)


def _named(card: DatasetCard, data: str, display: Display) -> Listing:
    from dlkit.data.download import provide

    loader = _loader(card)
    folder = provide(card, display)
    try:
        listing = loader(card, folder)
    except (OSError, KeyError, ValueError) as error:  # what unpacked files that were changed since can cause
        raise DataError(
            f"The data set {card.name!r} in {shown(folder)} cannot be read: {type(error).__name__}: {shown(error)}",
            "Delete its folder there; it is unpacked or fetched again.",
        ) from error
    if Path(data).exists():
        notice = f"{data!r} is the data set of that name; the file or folder here is ./{data}."
        listing = replace(listing, notices=(*listing.notices, notice))
    return listing


def _loader(card: DatasetCard) -> Callable[[DatasetCard, Path], Listing]:
    """Import what reads the data set.

    Raises:
        PluginError: the plugin that brings it names no such function.
    """
    try:
        module, _, function = card.loader.partition(":")
        loader: Callable[[DatasetCard, Path], Listing] = getattr(import_module(module), function)
    except Exception as error:
        raise PluginError(
            f"Data set {card.name!r}: its loader cannot be imported: {type(error).__name__}: {error}",
            "Reinstall or update the package that ships it, or report this to its authors.",
        ) from error
    return loader


def _file(path: Path, manifest: Callable[[Path], Listing]) -> Listing:
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return manifest(path)
    if suffix == ".npz":
        return list_npz(path)
    if looks_like_idx(path):
        return list_idx_file(path)
    raise DataError(f"{shown(path)} is a file of a kind that cannot be used; expected {_FORMS}")


def _nothing(data: str) -> DataError:
    looks_like_path = "/" in data or data.startswith((".", "~")) or bool(Path(data).suffix)
    if looks_like_path:
        return DataError(f"No such file or folder: {shown(data)!r}", f"--data takes {_FORMS}.")
    suggestion = did_you_mean(data, catalog())
    return DataError(
        f"{shown(data)!r} is neither a data set's name nor a file or folder here.",
        f"{suggestion} `dlkit list datasets` lists the names.".strip(),
    )
