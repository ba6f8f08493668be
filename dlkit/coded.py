"""Images with their codes: what searching and clustering start from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open
from torch import Tensor

from dlkit.data import load_data
from dlkit.errors import DlkitError, UsageError
from dlkit.files import read_json
from dlkit.loading import load_for
from dlkit.run.model_files import PLAIN
from dlkit.runtime import Runtime
from dlkit.runtime.checkpoint import write_tensors
from dlkit.session import ready
from dlkit.technique import Encodes

if TYPE_CHECKING:
    from dlkit.data import ImageData, Split
    from dlkit.display import Display
    from dlkit.run import Run

_KEPT_BYTES = 256 << 20
"""Codes that take more than this are not kept in the run's directory."""


class CodedImages:
    """The images of a run's data, or of other data in the same form, with their codes.

    Codes are kept in the run's folder ``codes/`` and used again as long as neither the model nor the images change.

    Args:
        run: a run whose technique encodes.
        within: other data, as ``--data`` takes it; by default the run's own.
        display: where progress is shown.
        runtime: by default one with the run's options.

    Attributes:
        data: the images.
        splits: those of its splits that are not empty.
        codes: split's name → ``(N, Z)`` float32.

    Raises:
        UsageError: the technique does not encode.
        DataError: the data cannot be read, or the run has no model yet.
    """

    def __init__(
        self, run: Run, display: Display, *, within: str | None = None, runtime: Runtime | None = None
    ) -> None:
        self.run = run
        self.runtime = runtime or Runtime(run.settings.runtime, display)
        technique = ready(run, self.runtime)
        if not isinstance(technique, Encodes):
            raise UsageError(
                f"A run of {run.technique} does not encode, so its images have no distances.",
                "`dlkit info NAME` says what a technique can do.",
            )
        self._technique: Encodes = technique
        self.data: ImageData = load_for(run, display) if within is None else _other(run, within, display)
        self.splits = [split for split in self.data.splits if len(split)]
        self.codes = self._codes(display)

    def encode(self, pixels: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` on the CPU → codes ``(B, Z)`` float32 on the CPU."""
        with self.runtime.inference():
            return self._technique.encode(pixels.to(self.runtime.device)).float().cpu().flatten(1)

    def _codes(self, display: Display) -> dict[str, Tensor]:
        path = self.run.path / "codes" / f"{self.data.spec.fingerprint[:16]}.safetensors"
        key = {"model": str(read_json(self.run.path / PLAIN)["sha256"]), "data": self.data.spec.fingerprint}
        kept = _read(path, key)
        if kept is not None and all(len(kept.get(split.name, ())) == len(split) for split in self.splits):
            return kept
        display.info("Encoding")
        codes = {split.name: self.runtime.collect(self._technique.encode, split).flatten(1) for split in self.splits}
        if sum(each.nbytes for each in codes.values()) <= _KEPT_BYTES:
            try:
                write_tensors(path, codes, key)
            except DlkitError as error:  # a run that cannot be written to can be used all the same
                display.warn(f"The codes are not kept: {error.message}")
        return codes

    def label(self, split: Split, index: int) -> str:
        """An image's class, labels or numbers as text; empty where unknown."""
        names = self.data.spec.classes
        if split.labels is not None:
            return names[split.labels[index]] if split.labels[index] >= 0 else ""
        if split.targets is None or bool(split.targets[index].isnan().any()):
            return ""
        if self.data.spec.target == "multi-label":
            return "; ".join(name for name, has in zip(names, split.targets[index], strict=True) if has)
        return "; ".join(f"{value:g}" for value in split.targets[index].tolist())


def name_of(split: Split, index: int) -> str:
    """An image's file, or its split and number."""
    return f"{split.name} {index}" if split.files is None else split.files[index]


def _other(run: Run, within: str, display: Display) -> ImageData:
    """Other data in the run's form; classes that the run does not know do not matter, nor do broken files."""
    options = dataclasses.replace(run.settings.data, data=within, on_bad_image="skip")
    data = load_data(options, like=run.spec, drop_unknown=True, progress=display, workers=run.settings.runtime.workers)
    for notice in data.notices:
        display.warn(notice)
    return data


def _read(path: Path, key: dict[str, str]) -> dict[str, Tensor] | None:
    """Codes that were kept for this model and this data; None where there are none, or the file is broken."""
    try:
        with safe_open(path, framework="pt") as file:
            if file.metadata() != key:
                return None
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
    except (OSError, SafetensorError):
        return None
