"""From codes back to images: as files, or as one sheet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from dlkit.asking import how_to_ask
from dlkit.capabilities import capabilities_of, require
from dlkit.errors import DlkitError, UsageError
from dlkit.files import atomic_path, made_folder
from dlkit.predict.writers import Pictures, png
from dlkit.report.label_plots import captioned
from dlkit.report.picture import png as figure_png
from dlkit.report.style import short
from dlkit.runtime import Runtime
from dlkit.session import ready

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dlkit.display import Display
    from dlkit.run import Run

CHUNK = 250
"""So many images are decoded at once."""
_SHEET = 100
"""So many images a sheet shows at most."""


class Decoder:
    """A run whose technique decodes, ready for use.

    Args:
        run: a trained run.
        display: where progress is shown.
        runtime: by default one with the run's options.
        labels: of the images to make, ``(1,)`` for all, or one for each code; of runs that are told some.

    Raises:
        UsageError: it does not decode, or needs labels.
        DataError: it has no model yet.
    """

    def __init__(
        self, run: Run, display: Display, runtime: Runtime | None = None, *, labels: Tensor | None = None
    ) -> None:
        able = capabilities_of(run)
        if "draw" not in able:
            require(run, "decode")
        if labels is None and {"draw", "condition"} <= able:
            raise UsageError(f"{run.name} must be told what to make.", how_to_ask(run))
        self.run, self.labels = run, labels
        self.runtime = runtime or Runtime(run.settings.runtime, display)
        self.technique: Any = ready(run, self.runtime)

    def batches(self, codes: Tensor) -> Iterator[Tensor]:
        """Codes ``(N, Z)`` → pixels ``(n, C, H, W)`` on the CPU, a few at a time.

        Raises:
            UsageError: codes of another size than the run's.
            DlkitError: an image that is not finite.
        """
        self._check(codes)
        for start in range(0, len(codes), CHUNK):
            chunk = codes[start : start + CHUNK].to(self.runtime.device)
            given = [] if self.labels is None else [self._labels(start, len(chunk)).to(self.runtime.device)]
            with self.runtime.inference():
                images = self.technique.decode(chunk, *given).float().cpu()
            yield finite(images)

    def _labels(self, start: int, count: int) -> Tensor:
        assert self.labels is not None  # noqa: S101 - the caller has looked
        return (
            self.labels.expand(count, *self.labels.shape[1:]) if len(self.labels) == 1 else self.labels[start:][:count]
        )

    def images(self, codes: Tensor) -> Tensor:
        """All of them, ``(N, C, H, W)``."""
        return torch.cat([*self.batches(codes)])

    def encode(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → codes ``(B, Z)``, on the CPU; asked only of runs that encode."""
        with self.runtime.inference():
            codes: Tensor = self.technique.encode(images.to(self.runtime.device)).float().cpu()
        return codes

    def _check(self, codes: Tensor) -> None:
        able = capabilities_of(self.run)
        if not able & {"encode", "draw"}:
            return  # its decode says what does not fit
        if "draw" in able:
            size = self.technique.draw(1, self.runtime.generator("size of a latent")).shape[1]
        else:
            size = self.encode(torch.zeros(1, *self.run.spec.shape)).shape[1]
        if codes.ndim != 2 or codes.shape[1] != size:
            given = codes.shape[1] if codes.ndim == 2 else tuple(codes.shape)
            raise UsageError(f"The codes have {given} numbers; those of {self.run.name} have {size}.")


def finite(images: Tensor) -> Tensor:
    """The images themselves.

    Raises:
        DlkitError: a pixel that is not finite.
    """
    if not bool(images.isfinite().all()):
        raise DlkitError(
            "The model makes pixels that are not finite numbers.",
            "The codes are out of range, or the training went wrong; train longer, or with a lower --lr.",
        )
    return images


def write_images(decoder: Decoder, codes: Tensor, names: Sequence[str], folder: Path | None) -> dict[str, Any]:
    """Decode and write a PNG for each code, named after ``names``.

    Args:
        decoder: of the run.
        codes: float32 ``(N, Z)``.
        names: N file names or texts; of two equal ones the second gets a number.
        folder: new or empty; None: the next free one in the run's ``decoded/``.

    Returns:
        ``{"folder", "images", "files"}``.
    """
    batches = decoder.batches(codes)
    first = next(batches, None)  # what cannot be decoded leaves no folder
    folder = made_folder(folder, decoder.run.path / "decoded")
    writer = Pictures(folder, {"image": "image"})
    files: list[str] = []
    while first is not None:
        stems = [Path(name) for name in names[len(files) : len(files) + len(first)]]
        writer.write(stems, {"image": first.numpy()})
        files += writer.saved["image"]
        first = next(batches, None)
    return {"folder": folder, "images": len(files), "files": files}


def write_picture(images: Tensor, captions: Sequence[str], target: Path) -> None:
    """One image ``(1, C, H, W)`` as it is, several as a sheet with captions; into ``target``, a .png file."""
    content = png(images[0].numpy()) if len(images) == 1 else figure_png(sheet(images, captions))
    with atomic_path(target) as temporary:
        temporary.write_bytes(content)


def sheet(images: Tensor, captions: Sequence[str], columns: int = 8) -> Figure:
    """At most a hundred images in rows, each with its caption."""
    texts = [short(caption, 22) for caption in captions[:_SHEET]]
    return captioned([*images[:_SHEET]], texts, columns=columns)


def parse_code(text: str) -> list[float]:
    """``20,20`` → ``[20.0, 20.0]``.

    Raises:
        UsageError: it is not finite numbers with commas between.
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = [float("nan")]
    if not np.isfinite(values).all():
        raise UsageError(f"--code {text!r} is not a list of numbers.", "For example: --code 20,20")
    return values


def typed_codes(texts: Sequence[str]) -> Tensor:
    """Codes as people type them → ``(N, Z)``.

    Raises:
        UsageError: one is not numbers, or they differ in length.
    """
    rows = [parse_code(text) for text in texts]
    for text, row in zip(texts, rows, strict=True):
        if len(row) != len(rows[0]):
            raise UsageError(f"--code {text!r} has {len(row)} numbers, --code {texts[0]!r} has {len(rows[0])}.")
    return torch.tensor(rows)
