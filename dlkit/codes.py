"""Codes of images as an .npz file, for whatever people do with them elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dlkit.errors import UsageError
from dlkit.files import atomic_path
from dlkit.loading import load_for
from dlkit.runtime import Runtime
from dlkit.session import ready
from dlkit.technique import Encodes

if TYPE_CHECKING:
    from dlkit.display import Display
    from dlkit.run import Run


def write_codes(
    run: Run, target: Path, display: Display, *, data: str | None = None, runtime: Runtime | None = None
) -> dict[str, Any]:
    """Encode all splits of the run's data (or of other data) and write ``codes`` (N, Z) float32, ``split`` (N,) and,
    where there are any, ``labels`` (N,) int64, ``classes`` (K,) and ``files`` (N,).

    Returns:
        ``{"path", "images", "size"}``.

    Raises:
        UsageError: the technique does not encode, or the file exists.
    """
    if target.exists():
        raise UsageError(f"{str(target)!r} exists, and nothing is overwritten.", "Choose another file with --out.")
    runtime = runtime or Runtime(run.settings.runtime, display)
    technique = ready(run, runtime)
    if not isinstance(technique, Encodes):
        raise UsageError(
            f"A run of {run.technique} does not encode.", "`dlkit info NAME` says what a technique can do."
        )
    loaded = load_for(run, display, data=data)
    splits = [split for split in (loaded.train, loaded.val, loaded.test) if len(split)]
    arrays: dict[str, Any] = {
        "codes": np.concatenate([runtime.collect(technique.encode, split).numpy() for split in splits]),
        "split": np.concatenate([np.full(len(split), split.name) for split in splits]),
    }
    if all(split.labels is not None for split in splits):
        arrays["labels"] = np.concatenate([split.labels.numpy() for split in splits if split.labels is not None])
        arrays["classes"] = np.array(loaded.spec.classes, dtype=str)
    if all(split.targets is not None for split in splits):
        arrays["targets"] = np.concatenate([split.targets.numpy() for split in splits if split.targets is not None])
        arrays["classes"] = np.array(loaded.spec.classes, dtype=str)
    if all(split.files is not None for split in splits):
        arrays["files"] = np.array([str(file) for split in splits for file in split.files or ()])
    with atomic_path(target) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)
    return {"path": target, "images": len(arrays["codes"]), "size": arrays["codes"].shape[1]}
