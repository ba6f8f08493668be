"""Writing files so that a half-written one is never taken for a whole one."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dlkit.errors import DataError, DlkitError, UsageError
from dlkit.opening import read_text


def user_path(text: str) -> Path:
    """A path as people type it, with ``~``.

    Raises:
        UsageError: ``~name`` of nobody.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{text!r}: there is no such home directory.") from error


def new_file(text: str, suffix: str, flag: str = "--out") -> Path:
    """A file as people name it with ``flag``, which does not exist yet.

    Raises:
        UsageError: another suffix, or it exists.
    """
    target = user_path(text)
    if target.suffix.lower() != suffix:
        raise UsageError(f"{text!r} is not the name of a {suffix} file.", f"For example: {flag} new{suffix}")
    if target.exists():
        raise UsageError(f"{text!r} exists, and nothing is overwritten.", f"Choose another file with {flag}.")
    return target


def free_file(name: str) -> Path:
    """``sheet.png``, or ``sheet-2.png``, ``sheet-3.png``… where that is taken, in the current directory."""
    target, number = Path(name), 1
    while target.exists():
        number += 1
        target = Path(name).with_stem(f"{Path(name).stem}-{number}")
    return target


def new_folder(text: str) -> Path:
    """A folder as people name it, which does not exist yet or is empty.

    Raises:
        UsageError: something is there.
    """
    target = user_path(text)
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UsageError(f"{text!r} exists, and nothing is overwritten.", "Choose another folder with --out.")
    return target


def made_folder(target: Path | None, parent: Path) -> Path:
    """``target``, or the next free ``parent/001``, ``parent/002``…, as a folder that exists now.

    Raises:
        DlkitError: it cannot be made.
    """
    with writing(target or parent):
        if target is not None:
            target.mkdir(parents=True, exist_ok=True)
            return target
        parent.mkdir(parents=True, exist_ok=True)
        taken = [path for path in parent.iterdir() if path.name.isdecimal()]
        for folder in taken:
            remove_left(folder)  # nobody else writes there any more
        number = 1 + max((int(path.name) for path in taken), default=0)
        while True:
            try:
                (parent / f"{number:03d}").mkdir()
            except FileExistsError:  # another process took it
                number += 1
            else:
                return parent / f"{number:03d}"


def cache_home() -> Path:
    """Where dlkit keeps what it can fetch or compute again: ``$DLKIT_HOME``, or the platform's cache directory."""
    home = os.environ.get("DLKIT_HOME")
    if home:
        return user_path(home)
    from platformdirs import user_cache_path

    return user_cache_path("dlkit")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the file system refuses within the block into an error for the user.

    Raises:
        DlkitError: with the reason; the ``OSError`` is its cause.
    """
    try:
        yield
    except OSError as error:
        raise DlkitError(
            f"Cannot write {str(path)!r}: {error.strerror or error}.",
            "Free some space, or choose another place (--runs DIR, --out PATH); what was written before is intact.",
        ) from error


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """A temporary path beside ``target`` that replaces it, flushed to disk, when the block ends well.

    It lies in a folder of its own, so that nothing stays of what else a writer makes beside it (safetensors does).
    What a killed process left of the same target is removed too.

    Raises:
        DlkitError: the file cannot be written (disk full, directory read-only); ``target`` is as it was.
    """
    with writing(target), folder_beside(target) as folder:
        temporary = folder / target.name
        temporary.touch()
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # some writers make a file of their own in its place
        _sync(temporary)
        temporary.replace(target)
        _sync(target.parent)


@contextmanager
def folder_beside(target: Path) -> Iterator[Path]:
    """A folder for the time of the block, in which something is made that is moved to ``target`` then.

    What a killed process left of the same target is removed too.

    Raises:
        OSError: there can be none.
    """
    folder: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_left(target.parent, target.name)
        folder = Path(tempfile.mkdtemp(dir=target.parent, prefix=_stem(target) + _owner(), suffix=".tmp"))
        yield folder
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """A folder for the time of the block, among the system's temporary files.

    What a killed process left of the same purpose is removed too.

    Raises:
        DlkitError: there can be none.
    """
    place, stem = Path(tempfile.gettempdir()), f"dlkit-{purpose}-"
    _remove_left(place, re.escape(stem), "")
    with writing(place / stem):
        folder = tempfile.mkdtemp(prefix=stem + _owner(), dir=place)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_left(folder: Path, name: str | None = None) -> None:
    """Remove what killed processes left in a folder of a file of that name, or of any that they were writing."""
    _remove_left(folder, r"\..+\." if name is None else re.escape(_stem(folder / name)), ".tmp")


def write_new(target: Path, content: bytes) -> None:
    """Write a file that is not there yet; it appears whole or not at all. For many small ones: none waits for the disk,
    and what a killed process left is removed by :func:`remove_left`, called once for all.

    Raises:
        FileExistsError: it is there.
        OSError: it cannot be written.
    """
    temporary = target.with_name(f"{_stem(target)}{_owner()}{threading.get_ident()}.tmp")
    try:
        temporary.write_bytes(content)
        try:
            os.link(temporary, target)
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            if target.exists():
                raise FileExistsError(target) from None
            temporary.rename(target)
    finally:
        temporary.unlink(missing_ok=True)


def _stem(target: Path) -> str:
    """How the names of the target's temporary files begin; names have at most 255 bytes."""
    return f".{os.fsencode(target.name)[:100].decode('utf-8', 'ignore')}."


def _owner() -> str:
    """This process, as the names of its temporary files and folders say it: the machine and the process's number."""
    return f"{hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]}-{os.getpid()}-"


def _remove_left(place: Path, stem: str, suffix: str) -> None:
    """Remove temporary files and folders of processes of this machine and user that are no more.

    ``stem`` is a regular expression.
    """
    machine = _owner().partition("-")[0]
    pattern = re.compile(rf"{stem}{machine}-([0-9]+)-[^-]*{re.escape(suffix)}", re.DOTALL)
    with suppress(OSError):  # what cannot be removed stays
        for entry in os.scandir(place):
            match = pattern.fullmatch(entry.name)
            if match is None or _alive(int(match[1])) or entry.stat(follow_symlinks=False).st_uid != os.getuid():
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                Path(entry.path).unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's; no process's number
        return True
    return True


def write_text(target: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(target: Path, value: Any) -> None:
    """Write strict JSON atomically."""
    write_text(target, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        DataError: the file is missing or is not JSON.
    """
    try:
        return json.loads(read_text(path))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"Cannot read {str(path)!r}: {error}.", "Is it a complete dlkit run?") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    # There is no way to read the umask but to set it; threads that create files meanwhile see 0o077, which is safe.
    current = os.umask(0o077)
    os.umask(current)
    return current
