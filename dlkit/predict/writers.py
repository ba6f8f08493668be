"""Predictions as files: pictures and arrays; and the opening of them all by a plan."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol, TextIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from dlkit.data.spec import DataSpec
from dlkit.errors import DlkitError
from dlkit.files import atomic_path, remove_left, write_new
from dlkit.predict.plan import Plan
from dlkit.predict.predictors import Arrays
from dlkit.predict.tables import CsvTable, JsonTable, Rows
from dlkit.predict.text import file_stem
from dlkit.report.figures import clean
from dlkit.technique import OutputKind


class Writer(Protocol):
    """Takes batches, in order."""

    def write(self, paths: Sequence[Path], arrays: Arrays) -> None:
        """Add a batch: the inputs' paths and, for each output, one row for each path."""
        ...

    def end(self) -> None:
        """All went well: finish the file."""
        ...


class Pictures:
    """Image outputs as PNG files, named after their inputs; no file is ever overwritten.

    ``cat.jpg`` becomes ``cat.png``, or ``cat-OUTPUT.png`` where the model yields several images; where that exists,
    ``cat-2.png``, ``cat-3.png`` and so on.

    Args:
        folder: made where it does not exist.
        outputs: name → kind.
    """

    def __init__(self, folder: Path, outputs: Mapping[str, OutputKind]) -> None:
        self._folder = folder
        self._names = [name for name, kind in outputs.items() if kind == "image"]
        self._next: dict[str, int] = {}
        self.saved: dict[str, list[str]] = {}
        """Output → the file names of the batch written last, in order."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DlkitError(f"Cannot make the folder {str(folder)!r}: {error.strerror or error}.") from error
        remove_left(folder)

    def write(self, paths: Sequence[Path], arrays: Arrays) -> None:
        """Write a batch's pictures.

        Raises:
            DlkitError: an output that is not ``(B, 1 or 3, H, W)``, or a file that cannot be written.
        """
        for name in self._names:
            array = arrays[name]
            if array.ndim != 4 or array.shape[1] not in (1, 3):
                raise DlkitError(
                    f"Output {name!r} of shape {array.shape} is no picture: a PNG holds (B, 1 or 3, H, W).",
                    "Say --format npz to keep its numbers.",
                )
            stems = [file_stem(path) + (f"-{name}" if len(self._names) > 1 else "") for path in paths]
            self.saved[name] = [self._save(stem, png(image)) for stem, image in zip(stems, array, strict=True)]

    def end(self) -> None:
        """Nothing more is needed."""

    def _save(self, stem: str, content: bytes) -> str:
        number = self._next.get(stem, 1)
        while True:
            target = self._folder / (f"{stem}.png" if number == 1 else f"{stem}-{number}.png")
            number += 1
            try:
                write_new(target, content)
            except FileExistsError:
                continue
            except OSError as error:
                raise DlkitError(f"Cannot write {str(target)!r}: {error.strerror or error}.") from error
            self._next[stem] = number
            return target.name


def png(pixels: npt.NDArray[np.floating[Any]]) -> bytes:
    """Pixels ``(1 or 3, H, W)``, clipped to [0, 1] → an 8-bit grey or RGB PNG file's content."""
    scaled = np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    image = Image.fromarray(scaled[0] if len(scaled) == 1 else np.ascontiguousarray(scaled.transpose(1, 2, 0)))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


class ArrayFile:
    """All outputs as arrays of one ``.npz`` file, with the inputs' names as ``files``; kept in memory until the end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: list[str] = []
        self._batches: list[Arrays] = []

    def write(self, paths: Sequence[Path], arrays: Arrays) -> None:
        """Keep a batch."""
        self._files += map(clean, paths)
        self._batches.append(arrays)

    def end(self) -> None:
        """Write the file. Names are fixed-width text, so that reading it needs no pickle."""
        arrays: dict[str, Any] = {
            name: np.concatenate([batch[name] for batch in self._batches]) for name in self._batches[0]
        }
        if "files" in arrays:
            raise DlkitError("An output is called 'files', which the .npz keeps for the inputs' names.", "Use csv.")
        with self._path.open("wb") as file:
            np.savez(file, files=np.array(self._files, dtype=np.str_), **arrays)


@contextmanager
def open_writers(
    plan: Plan, outputs: Mapping[str, OutputKind], spec: DataSpec, top_k: int, stdout: TextIO
) -> Iterator[list[Writer]]:
    """The plan's writers; tables and array files appear under their names only when the block ends well."""
    with ExitStack() as stack:
        writers: list[Writer] = []
        pictures = None if plan.png is None else Pictures(plan.png, outputs)
        if pictures is not None:
            writers.append(pictures)  # before the table, which names its files
        if plan.table:
            stream = stdout
            if plan.table_path is not None:
                temporary = stack.enter_context(atomic_path(plan.table_path))
                stream = stack.enter_context(temporary.open("w", encoding="utf-8", newline=""))
            table = CsvTable if plan.table == "csv" else JsonTable
            saved = {} if pictures is None else pictures.saved
            writers.append(table(stream, Rows(outputs, spec.classes, top_k, saved)))
        if plan.npz is not None:
            writers.append(ArrayFile(stack.enter_context(atomic_path(plan.npz))))
        yield writers
        for writer in writers:
            writer.end()
