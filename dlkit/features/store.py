"""Features on disk: files that are only ever added, found by the SHA-256 of each image. Imports no torch.

    features/<key>/entry.json           what it is, for people
    features/<key>/<content>.safetensors    digests uint8 (n, 32), features float32 (n, D), and a checksum

``key`` names all that the features depend on but the images; a file's name comes from its content. Writers only add
whole files, so any number of processes may share a folder. A file's time of change is when it was last used.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Container, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlkit.errors import DataError, DlkitError
from dlkit.files import atomic_path, cache_home, read_json, write_json

Digests = NDArray[np.uint8]
Values = NDArray[np.float32]

_DESCRIPTION = "entry.json"
_MANY = 16  # small files of one entry are merged when there are more
_SMALL = 64 << 20  # bytes
_FORGOTTEN = 86400.0  # seconds after which a temporary file has no owner any more


def features_folder() -> Path:
    """Where features are kept."""
    return cache_home() / "features"


class Entry:
    """The features of one backbone, tap and arithmetic; of any number of images.

    Args:
        key: 64 hexadecimal digits; see :func:`.keys.entry_key`.
        about: what to keep beside them for people.
        warn: is told of files that are broken, and of a disk that takes no more.
    """

    def __init__(self, key: str, about: Mapping[str, Any], warn: Callable[[str], None]) -> None:
        self.path = features_folder() / key[:40]
        self._key, self._about, self._warn = key, about, warn

    def find(self, digests: Digests) -> tuple[NDArray[np.bool_], Values | None]:
        """Which of the images are known, ``(N,)``, and their features ``(N, D)``, zero elsewhere; None if none is."""
        wanted = {digest.tobytes(): row for row, digest in enumerate(digests)}
        known, values = np.zeros(len(digests), np.bool_), None
        seen: list[Path] = []
        while new := [file for file in shards(self.path) if file not in seen]:  # again: somebody may be merging
            for file in new:
                digests_there, features = self._load(file, wanted) or (None, None)
                if digests_there is None or features is None:
                    continue
                pairs = [(wanted[key], row) for row, key in enumerate(map(bytes, digests_there)) if key in wanted]
                if values is None:
                    values = np.zeros((len(digests), features.shape[1]), np.float32)
                rows = [row for row, _ in pairs]
                known[rows], values[rows] = True, features[[row for _, row in pairs]]
                _touch(file)
            seen += new
        if len(seen) > _MANY:
            self._merge(seen)
        return known, values

    def add(self, digests: Digests, features: Values) -> Path | None:
        """Keep features ``(n, D)`` of ``n`` images; None where the disk takes them not, which is told."""
        try:
            path = self._write(digests, features)
            if not (self.path / _DESCRIPTION).exists():
                write_json(self.path / _DESCRIPTION, dict(self._about))
        except (DlkitError, OSError) as error:
            self._warn(f"Features are not kept: {error.message if isinstance(error, DlkitError) else error}")
            return None
        return path

    def _write(self, digests: Digests, features: Values) -> Path:
        from safetensors.numpy import save_file

        checksum = self._checksum(digests, features)
        path = self.path / f"{checksum[:40]}.safetensors"
        if not path.exists():
            with atomic_path(path) as temporary:
                save_file({"digests": digests, "features": features}, temporary, {"checksum": checksum})
        return path

    def _checksum(self, digests: Digests, features: Values) -> str:
        whole = hashlib.sha256(self._key.encode())  # a file that was moved from another entry is none of ours
        whole.update(np.ascontiguousarray(digests).data)
        whole.update(np.ascontiguousarray(features).data)
        return whole.hexdigest()

    def _load(self, file: Path, wanted: Container[bytes] | None = None) -> tuple[Digests, Values] | None:
        """Digests and features of a file; None where it has none of the wanted images, is gone, or is broken.

        A broken one is told and removed.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(file, framework="np") as opened:
                digests = opened.get_tensor("digests")
                if wanted is not None and not any(bytes(digest) in wanted for digest in digests):
                    return None
                features, checksum = opened.get_tensor("features"), (opened.metadata() or {}).get("checksum")
        except FileNotFoundError:  # another process merged or removed it
            return None
        except (SafetensorError, OSError, TypeError, ValueError) as error:
            self._discard(file, str(error))
            return None
        sound = digests.shape == (len(features), 32) and features.ndim == 2 and features.dtype == np.float32
        if not sound or checksum != self._checksum(digests, features):
            self._discard(file, "its content does not match its checksum")
            return None
        return digests, features

    def _discard(self, file: Path, reason: str) -> None:
        self._warn(f"A file of kept features is broken and is made anew: {file}: {reason}")
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)

    def _merge(self, files: list[Path]) -> None:
        """One file for many small ones: written first, the old ones removed then."""
        small = [file for file in files if _bytes(file) < _SMALL]
        parts = [part for file in small if (part := self._load(file)) is not None]
        if len(parts) < len(small) or len(parts) < 2:
            return  # somebody else is at it
        digests, first = np.unique(np.concatenate([part[0] for part in parts]), axis=0, return_index=True)
        merged = self.add(digests, np.concatenate([part[1] for part in parts])[first])
        if merged is not None:
            for file in set(small) - {merged}:
                with contextlib.suppress(OSError):
                    file.unlink(missing_ok=True)


def shards(path: Path) -> list[Path]:
    """The files of an entry, in a fixed order; none where it cannot be looked into."""
    return [file for file in _listed(path) if file.suffix == ".safetensors" and not file.name.startswith(".")]


def entries() -> Iterator[Path]:
    """The folders of all entries; none where the cache cannot be looked into."""
    yield from (path for path in _listed(features_folder()) if path.is_dir())


def describe(path: Path) -> dict[str, Any]:
    """What an entry is, how many images and bytes it has, and when it was last used (seconds since 1970)."""
    about: dict[str, Any] = {}
    with contextlib.suppress(DataError):
        loaded = read_json(path / _DESCRIPTION)
        about = loaded if isinstance(loaded, dict) else {}
    files = shards(path)
    return about | {
        "key": path.name,
        "images": sum(_rows(file) for file in files),
        "bytes": sum(_bytes(file) for file in files),
        "used": max((_used(file) for file in files), default=0.0),
    }


def remove(path: Path) -> None:
    """Remove an entry with all of its features.

    Raises:
        DlkitError: the file system refuses.
    """
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise DlkitError(f"Cannot remove {str(path)!r}: {error.strerror or error}.") from error


def evict(limit: int, keep: set[Path]) -> int:
    """Remove what was not used for the longest time until all features take at most ``limit`` bytes.

    Args:
        limit: bytes.
        keep: files that stay in any case: what was just written.

    Returns:
        How many files were removed.
    """
    _sweep()
    files = [file for path in entries() for file in shards(path)]
    total, removed = sum(map(_bytes, files)), 0
    for file in sorted((file for file in files if file not in keep), key=_used):
        if total <= limit:
            break
        total, removed = total - _bytes(file), removed + 1
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)
    for path in entries():
        if not shards(path) and time.time() - _used(path) > _FORGOTTEN:
            remove(path)
    return removed


def _sweep() -> None:
    """Remove the folders of temporary files that killed processes left, of other machines too."""
    for path in entries():
        for file in _listed(path):
            if file.suffix == ".tmp" and time.time() - _used(file) > _FORGOTTEN:
                shutil.rmtree(file, ignore_errors=True)


def _listed(path: Path) -> list[Path]:
    try:
        return sorted(path.iterdir())
    except OSError:
        return []


def _rows(file: Path) -> int:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="np") as opened:
            return int(opened.get_slice("digests").get_shape()[0])
    except (SafetensorError, OSError):
        return 0


def _touch(file: Path) -> None:
    with contextlib.suppress(OSError):
        os.utime(file)


def _bytes(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _used(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0
