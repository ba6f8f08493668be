"""A technique's state on disk: ``model.safetensors`` and ``model.json``."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from dlkit.data.memory import available_memory
from dlkit.errors import DataError
from dlkit.files import read_json, write_json
from dlkit.run.directory import CONFIG
from dlkit.runtime.checkpoint import write_tensors
from dlkit.runtime.room import Room
from dlkit.technique import State

TENSORS, PLAIN = "model.safetensors", "model.json"

BAD_STATE = (RuntimeError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
"""What techniques raise on tensors of other names, types or shapes than theirs."""

_TIMES, _SPARE = 8, 1 << 30
"""What building networks may take: so many times the model's bytes (as they come, as a draft, drawn at random and
orthogonalised…), and so much for what no model keeps."""


def save_state(directory: Path, state: State, origin: Mapping[str, str]) -> None:
    """Write both files; the JSON, written last, names the tensors' SHA-256, so that the two belong together."""
    write_tensors(directory / TENSORS, state.tensors, {})
    plain = {**origin, "state": dict(state.plain), "sha256": _sha256(directory / TENSORS)}
    write_json(directory / PLAIN, plain)


def load_state(directory: Path) -> State:
    """Read both files.

    Raises:
        DataError: there is no model yet, or a file is broken, or the two do not belong together.
    """
    if not (directory / PLAIN).is_file():
        raise DataError(
            f"{str(directory)!r} has no model yet: its training has not ended.",
            f"Go on with `dlkit resume {directory}`.",
        )
    plain: dict[str, Any] = read_json(directory / PLAIN)
    try:
        if plain["sha256"] != _sha256(directory / TENSORS):
            raise ValueError(f"{TENSORS} is not the file that {PLAIN} names")
        return State(load_file(directory / TENSORS), plain["state"])
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise unreadable(directory, error) from error


def room_for_model(directory: Path) -> Room:
    """In which the networks of a model are built: a config, which may come from anyone, asks for any size."""
    held, free = (directory / TENSORS).stat().st_size, available_memory()
    most = _TIMES * held + _SPARE

    def refusal(wanted: int) -> DataError:
        asks = f"{str(directory / CONFIG)!r} asks for networks of {wanted / 2**30:.1f} GiB or more"
        if wanted > most:
            return DataError(f"{asks}, but {TENSORS} beside it has {held / 2**20:,.1f} MiB: one is not the other's.")
        return DataError(f"{asks}; {free / 2**30:.1f} GiB of memory are free.", "Close other programs.")

    return Room(min(most, free), refusal)


def unreadable(directory: Path, error: Exception) -> DataError:
    """What to say of a model that cannot be loaded."""
    what = str(error) if isinstance(error, ValueError | RuntimeError | OSError) else repr(error)
    return DataError(
        f"The model of {str(directory)!r} cannot be read: {what}.",
        f"`dlkit resume {directory}` writes it again from the last checkpoint.",
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
