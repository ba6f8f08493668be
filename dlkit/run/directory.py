"""Where runs lie: making a new one, finding an old one, the ``latest`` pointer."""

from __future__ import annotations

import os
import re
import stat
import threading
from itertools import chain
from pathlib import Path

from dlkit.errors import DataError, DlkitError, UsageError
from dlkit.files import writing

CONFIG, SPEC = "config.toml", "data.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def create_directory(root: Path, technique: str, name: str) -> Path:
    """Make ``root/technique/name-NNN`` with the next free number; two processes never get the same one.

    Raises:
        UsageError: the name has characters that a file name should not have.
        DlkitError: the directory cannot be made.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"The run name {name!r} cannot be a directory's name.",
            "Use letters, digits, '.', '_' and '-', at most 80 of them: --name my-run.",
        )
    parent = root / technique
    try:
        parent.mkdir(parents=True, exist_ok=True)
        number = 1 + max((_number(path.name, name) for path in parent.iterdir()), default=0)
        while True:
            path = parent / f"{name}-{number:03d}"
            try:
                path.mkdir()
            except FileExistsError:
                number += 1
            else:
                return path
    except OSError as error:
        raise DlkitError(
            f"Cannot make a run under {str(parent)!r}: {error.strerror or error}.",
            "Choose another place with --runs DIR.",
        ) from error


def safe_name(text: str) -> str:
    """A run name made from any text, such as a data set's name."""
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:80]
    return cleaned if _NAME.fullmatch(cleaned) else "run"


def point_latest(root: Path, run: Path) -> None:
    """Let ``root/latest`` (a symbolic link) name this run.

    Raises:
        DlkitError: something else is in its place, which is left as it is, or there can be no link.
    """
    link = root / "latest"
    if os.path.lexists(link) and not _ours(link):
        raise DlkitError(
            f"{str(link)!r} is not dlkit's, so it cannot name the latest run.", "Choose another place with --runs DIR."
        )
    temporary = root / f".latest-{os.getpid()}-{threading.get_ident()}"
    with writing(link):
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(os.path.relpath(run, root), target_is_directory=True)
        try:
            temporary.replace(link)
        finally:
            temporary.unlink(missing_ok=True)


def _ours(link: Path) -> bool:
    """Whether dlkit made a link: to ``technique/run`` beside it."""
    target = link.readlink() if link.is_symlink() else Path("/")
    return not target.is_absolute() and len(target.parts) == 2 and ".." not in target.parts


def is_run(path: Path) -> bool:
    """Whether a directory is a run; a ``config.toml`` alone may be anybody's."""
    try:
        return (path / CONFIG).is_file() and (path / SPEC).is_file()
    except (OSError, ValueError):  # no permission, a name too long, a null byte
        return False


def list_runs(root: Path) -> list[Path]:
    """All runs under ``root``, oldest first."""
    found = [path.parent for path in root.glob(f"*/*/{CONFIG}") if not path.parent.is_symlink()]
    # The spec is written once; resuming writes the config again.
    return sorted(filter(is_run, found), key=lambda path: ((path / SPEC).stat().st_mtime_ns, path.name))


def find_run(reference: str, root: Path) -> Path:
    """The directory of the run that a path, a name or ``latest`` refers to.

    Raises:
        UsageError: there is none, or several have the name.
    """
    as_path = root / "latest" if reference == "latest" else Path(os.path.expanduser(reference))  # noqa: PTH111
    if reference and is_run(as_path):
        return as_path.resolve()
    matches = [path for path in list_runs(root) if reference in (path.name, f"{path.parent.name}/{path.name}")]
    if len(matches) == 1:
        return matches[0].resolve()
    if matches:
        listed = ", ".join(f"{path.parent.name}/{path.name}" for path in matches)
        raise UsageError(
            f"Several runs are named {reference!r}: {listed}.", "Name one with its technique, or its path."
        )
    raise UsageError(
        f"No run {reference!r}: neither a run's directory, nor a name under {str(root)!r}, nor 'latest'.",
        _known(root),
    )


def check_entries(run: Path) -> None:
    """Refuse a run in which something is neither file nor folder, or a link that leads out of it: what is written into
    the run would land somewhere else, and a pipe would be waited for. dlkit makes no such things.

    Raises:
        DataError: with its name.
    """
    try:
        for entry in chain(run.iterdir(), run.glob("*/*"), run.glob("checkpoints/*/*")):
            mode = entry.lstat().st_mode
            inside = not stat.S_ISLNK(mode) or entry.resolve().is_relative_to(run.resolve())
            if not inside or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
                what = "neither a file nor a folder" if inside else "a link that leads out of the run"
                raise DataError(f"{str(entry)!r} is {what}.", "Where it is yours, put there what it leads to.")
    except (OSError, RuntimeError) as error:  # RuntimeError: a link to itself
        raise DataError(f"{str(run)!r} cannot be looked into: {error}.") from error


def _known(root: Path) -> str:
    names = [path.name for path in list_runs(root)[-5:]]
    if not names:
        return f"There are no runs under {str(root)!r} yet; `dlkit train NAME` makes one, --runs DIR looks elsewhere."
    return f"The newest are {', '.join(reversed(names))}; `dlkit runs` lists all."


def _number(directory: str, name: str) -> int:
    match = re.fullmatch(rf"{re.escape(name)}-(\d+)", directory)
    return int(match[1]) if match else 0
