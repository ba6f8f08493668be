"""Named data sets' files: fetched once into a cache, checked, never half there."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from dlkit.data.names import DatasetCard, Download
from dlkit.data.text import shown
from dlkit.display import Display
from dlkit.errors import DataError
from dlkit.fetching import FetchError, digest_begins, fetch
from dlkit.files import cache_home, folder_beside


def datasets_folder() -> Path:
    """``$DLKIT_HOME/datasets``, or that of the platform's cache directory."""
    return cache_home() / "datasets"


def provide(card: DatasetCard, display: Display) -> Path:
    """Have all of a data set's files, fetching and unpacking what is missing.

    Single files are checked each time, archives before they are unpacked.

    Returns:
        The directory of data sets.

    Raises:
        DataError: a file is missing and cannot be fetched; says where each belongs.
    """
    folder = datasets_folder()
    for download in card.downloads:
        target = folder / download.path
        if download.unpacked and (folder / download.unpacked).is_dir():
            continue
        if target.suffix == ".gz" and target.with_suffix("").is_file() and not target.exists():
            continue  # torchvision's caches may hold the unpacked file alone; its reader checks its length
        reasons = _fetch(download, target, display) if not _is_whole(target, download.md5) else []
        if reasons:
            raise _missing(card, folder, reasons)
        if download.unpacked:
            _unpack(target, folder / download.unpacked, display)
    return folder


def _is_whole(path: Path, md5: str) -> bool:
    try:
        return digest_begins(path, "md5", md5)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise DataError(f"{shown(path)}: cannot be read: {error.strerror}") from error


def _fetch(download: Download, target: Path, display: Display) -> list[str]:
    """Try each address; an empty list if one worked, else what went wrong at each."""
    reasons = []
    if target.exists():
        reasons.append(f"{shown(target)} is damaged or another version: its MD5 is not {download.md5}")
    for url in download.urls:
        try:
            fetch(url, target, display, ("md5", download.md5))
        except FetchError as error:
            reasons.append(f"{url}: {error}")
        else:
            return []
    return reasons


def _missing(card: DatasetCard, folder: Path, reasons: Sequence[str]) -> DataError:
    lines = []
    for download in card.downloads:
        if download.unpacked and (folder / download.unpacked).is_dir():
            continue
        if not _is_whole(folder / download.path, download.md5):
            lines.append(f"  {shown(folder / download.path)}\n    from {download.urls[0]} (MD5 {download.md5})")
    return DataError(
        f"The data set {card.name!r} is not here, and could not be downloaded:\n"
        + "\n".join(f"  {reason}" for reason in reasons),
        "Go online, or put these files there yourself:\n" + "\n".join(lines),
    )


def _unpack(archive: Path, target: Path, display: Display) -> None:
    """Unpack beside the target, then move it there in one step.

    Raises:
        DataError: the archive is damaged, or not what it should be; or the disk is full.
    """
    display.info(f"Unpacking {archive.name}…")
    try:
        with folder_beside(target) as place:
            _extract(archive, place)
            inner = place / target.name
            if not inner.is_dir():
                raise DataError(f"{shown(archive)}: holds no {target.name!r} at its top")
            if not target.is_dir():  # another process may have been faster
                inner.replace(target)
    except (OSError, tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise DataError(f"{shown(archive)}: cannot be unpacked: {error}", "Is there enough space?") from error


def _extract(archive: Path, place: Path) -> None:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(place)  # noqa: S202
        return
    with tarfile.open(archive) as tar:
        if hasattr(tarfile, "data_filter"):  # Python 3.11.4; without it the checksum alone vouches for the archive
            tar.extractall(place, filter="data")
        else:
            tar.extractall(place)  # noqa: S202
