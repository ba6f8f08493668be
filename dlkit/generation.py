"""New images from a run that generates, the same ones for the same seed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from dlkit.asking import with_values
from dlkit.capabilities import capabilities_of, require
from dlkit.data.text import csv_text
from dlkit.decoding import finite
from dlkit.files import atomic_path, made_folder, write_text
from dlkit.predict.writers import Pictures
from dlkit.report import plots
from dlkit.report.picture import png
from dlkit.runtime import Runtime
from dlkit.session import ready
from dlkit.technique import DrawsLabels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dlkit.display import Display
    from dlkit.run import Run

CHUNK = 64
"""Images are always drawn so many at a time, each chunk from a seed of its own, so that 10 images are the first ten of
64. It is part of what a seed means: do not change it."""
_SHEET = 100


class Generating:
    """A run whose technique generates, ready for use.

    Args:
        run: a trained run.
        display: where progress is shown.
        runtime: its seed is that of the images; by default one with the run's options.
        truncation: beyond it no number of a latent lies, see :func:`truncated`.
        values: place of a label or number → what it is to be, of runs that were told such; see :mod:`.asking`.

    Raises:
        UsageError: it does not generate; it draws no latents that could be truncated.
        DataError: it has no model yet.
    """

    def __init__(
        self,
        run: Run,
        display: Display,
        runtime: Runtime | None = None,
        *,
        truncation: float | None = None,
        values: Mapping[int, float] | None = None,
    ) -> None:
        require(run, "generate")
        if truncation is not None:
            require(run, "draw")
        self.run, self.truncation, self.values = run, truncation, values or {}
        self.runtime = runtime or Runtime(run.settings.runtime, display)
        self.technique: Any = ready(run, self.runtime)
        self.conditions = "condition" in capabilities_of(run) and len(run.spec.classes) > 0
        self.by_class = self.conditions and run.spec.target == "classes"

    def chunks(self, count: int, label: int | None = None) -> Iterator[tuple[Tensor, Tensor | None]]:
        """``count`` images, chunk by chunk: pixels ``(n, C, H, W)`` on the CPU, and their classes ``(n,)`` int64, or
        their labels float32 ``(n, K)`` where those are no classes.

        Args:
            count: how many.
            label: their class. None: any, in the proportions of the training images; of a technique that takes no
                classes, there are none to tell.
        """
        for number, start in enumerate(range(0, count, CHUNK)):
            labels = self._labels(number, label)
            given = () if labels is None else (labels.to(self.runtime.device),)
            with self.runtime.inference():
                if self.truncation is None:
                    images = self.technique.generate(CHUNK, self._generator(number), *given).float().cpu()
                else:
                    images = self.technique.decode(self._latents(number), *given).float().cpu()
            kept = min(CHUNK, count - start)
            yield finite(images)[:kept], None if labels is None else labels[:kept]

    def images(self, count: int, label: int | None = None) -> Tensor:
        """All of them, ``(count, C, H, W)``."""
        return torch.cat([torch.zeros(0, *self.run.spec.shape), *(images for images, _ in self.chunks(count, label))])

    def drawn(self, places: Sequence[int], label: int | None = None) -> tuple[Tensor, Tensor | None]:
        """The latents ``(n, Z)`` of the images with these numbers, and their labels, on the CPU; of runs that draw."""
        chunks = sorted({place // CHUNK for place in places})
        latents = {number: self._latents(number).cpu() for number in chunks}
        labels = {number: self._labels(number, label) for number in chunks}
        codes = torch.stack([latents[place // CHUNK][place % CHUNK] for place in places])
        given = [(labels[place // CHUNK], place % CHUNK) for place in places]
        rows = [each[row] for each, row in given if each is not None]
        return codes, torch.stack(rows) if rows else None

    def _generator(self, number: int) -> torch.Generator:
        return self.runtime.generator("generate", number)

    def _latents(self, number: int) -> Tensor:
        latents: Tensor = self.technique.draw(CHUNK, self._generator(number))
        return latents if self.truncation is None else truncated(latents, self.truncation)

    def _labels(self, number: int, label: int | None) -> Tensor | None:
        if not self.conditions:
            return None
        if label is not None:
            return torch.full((CHUNK,), label)
        generator = self.runtime.generator("generated classes", number, device="cpu")
        if not self.by_class:
            if not isinstance(self.technique, DrawsLabels):
                return None
            return with_values(self.technique.draw_labels(CHUNK, generator).float().cpu(), self.values)
        counts = self.run.spec.class_counts.get("train") or (1,) * len(self.run.spec.classes)
        return torch.multinomial(
            torch.tensor(counts, dtype=torch.float64), CHUNK, replacement=True, generator=generator
        )


def truncated(latents: Tensor, limit: float) -> Tensor:
    """Draws of N(0, 1) → draws of the same distribution cut off at ±``limit``: images more typical, and more alike.

    That is the truncation trick of Brock et al. 2019, section 3.1. There, numbers beyond the limit are drawn anew; here
    each keeps its place in the distribution, z' = Φ⁻¹(Φ(−t) + (1 − 2 Φ(−t)) Φ(z)), so that an image stays recognisable
    as the limit gets smaller, and is itself without one.
    """
    low = torch.special.ndtr(torch.tensor(-limit, dtype=torch.float64))
    places = low + (1 - 2 * low) * torch.special.ndtr(latents.double())
    cut: Tensor = torch.special.ndtri(places)
    return cut.clamp(-limit, limit).to(latents.dtype)


def write_generated(generating: Generating, count: int, label: int | None, folder: Path | None) -> dict[str, Any]:
    """Generate and write ``00000.png``…, ``sheet.png`` (the first hundred) and ``manifest.csv``.

    The manifest has a row for each file: ``image_path``, ``label`` (where classes were asked for) or a column for each
    label of another kind, ``seed``, ``truncation`` (where there is one), ``run``; so it is data that ``--data`` takes.
    Of runs that draw latents, these are in ``codes.npz``, with what each was told, and ``dlkit decode`` takes them.

    Args:
        generating: the run.
        count: how many images, at least 1.
        label: their class.
        folder: new or empty; None: the next free one in the run's ``generated/``.

    Returns:
        ``{"folder", "images", "seed", "class", "sheet", "manifest"}``, and ``"codes"`` where there are any.
    """
    run, classes = generating.run, generating.run.spec.classes
    chunks = generating.chunks(count, label)
    first = next(chunks)  # what cannot be generated leaves no folder
    folder = made_folder(folder, run.path / "generated")
    files, told, shown = _write_images(chain([first], chunks), folder, generating)
    _write_manifest(folder / "manifest.csv", files, told, generating)
    with atomic_path(folder / "sheet.png") as temporary:
        names = [name for (name,) in told[:_SHEET]] if generating.by_class and label is None else []
        temporary.write_bytes(png(_sheet(shown, names)))
    return {
        "folder": folder,
        "images": len(files),
        "seed": generating.runtime.seed,
        "class": None if label is None else classes[label],
        "sheet": folder / "sheet.png",
        "manifest": folder / "manifest.csv",
        **_write_latents(folder / "codes.npz", files, generating, label),
    }


def _write_images(
    chunks: Iterable[tuple[Tensor, Tensor | None]], folder: Path, generating: Generating
) -> tuple[list[str], list[list[str]], Tensor]:
    """The files' names, what each image was told (nothing, a class's name, or numbers), and the first hundred."""
    classes, by_class = generating.run.spec.classes, generating.by_class
    writer = Pictures(folder, {"image": "image"})
    files: list[str] = []
    told: list[list[str]] = []
    shown: list[Tensor] = []
    for images, labels in chunks:
        writer.write([Path(f"{len(files) + place:05d}") for place in range(len(images))], {"image": images.numpy()})
        files += writer.saved["image"]
        if labels is not None:
            told += [[classes[each]] if by_class else [f"{one:g}" for one in each] for each in labels.tolist()]
        if len(files) <= _SHEET + CHUNK:
            shown.append(images)
    return files, told, torch.cat(shown)[:_SHEET]


def _write_latents(
    target: Path, files: list[str], generating: Generating, label: int | None
) -> dict[str, Path]:  # fmt: skip
    if "draw" not in capabilities_of(generating.run):
        return {}
    codes, labels = generating.drawn(range(len(files)), label)
    arrays = {"codes": codes.numpy(), "files": np.array(files)}
    if labels is not None:
        arrays |= {"labels" if generating.by_class else "targets": labels.numpy()}
        arrays |= {"classes": np.array(generating.run.spec.classes)}
    with atomic_path(target) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return {"codes": target}


def _write_manifest(target: Path, files: list[str], told: list[list[str]], generating: Generating) -> None:
    run, truncation = generating.run, generating.truncation
    names = [] if not told else ["label"] if generating.by_class else list(run.spec.classes)
    about: dict[str, Any] = {"seed": generating.runtime.seed}
    about |= {} if truncation is None else {"truncation": truncation}
    about["run"] = run.name
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["image_path", *map(csv_text, names), *about])
    for place, file in enumerate(files):
        said = told[place] if told else []
        cells = map(csv_text, said) if generating.by_class else said  # a negative number stays a number
        table.writerow([csv_text(file), *cells, *about.values()])
    write_text(target, text.getvalue())


def _sheet(images: Tensor, names: list[str]) -> Figure:
    """Ten in a row; with the names of their classes where they differ."""
    if names:
        return plots.captioned([*images], [plots.short(name, 14) for name in names], columns=10)
    rows = torch.split(images, 10)
    return plots.image_grid(rows, [""] * len(rows))
