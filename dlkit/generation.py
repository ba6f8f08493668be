"""New images from a run that generates, the same ones for the same seed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dlkit.capabilities import capabilities_of, require, who
from dlkit.decoding import finite
from dlkit.errors import UsageError
from dlkit.files import atomic_path, made_folder, write_text
from dlkit.options.suggest import did_you_mean
from dlkit.predict.text import csv_text
from dlkit.predict.writers import Pictures
from dlkit.report import plots
from dlkit.report.picture import png
from dlkit.runtime import Runtime
from dlkit.session import ready

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

    Raises:
        UsageError: it does not generate.
        DataError: it has no model yet.
    """

    def __init__(self, run: Run, display: Display, runtime: Runtime | None = None) -> None:
        require(run, "generate")
        self.run = run
        self.runtime = runtime or Runtime(run.settings.runtime, display)
        self.technique: Any = ready(run, self.runtime)
        self.conditions = "condition" in capabilities_of(run) and len(run.spec.classes) > 0

    def chunks(self, count: int, label: int | None = None) -> Iterator[tuple[Tensor, Tensor | None]]:
        """``count`` images, chunk by chunk: pixels ``(n, C, H, W)`` on the CPU, and their classes ``(n,)`` int64.

        Args:
            count: how many.
            label: their class. None: any, in the proportions of the training images; of a technique that takes no
                classes, there are none to tell.
        """
        for number, start in enumerate(range(0, count, CHUNK)):
            generator = self.runtime.generator("generate", number)
            labels = self._labels(number, label)
            with self.runtime.inference():
                given = () if labels is None else (labels.to(self.runtime.device),)
                images = self.technique.generate(CHUNK, generator, *given).float().cpu()
            kept = min(CHUNK, count - start)
            yield finite(images)[:kept], None if labels is None else labels[:kept]

    def images(self, count: int, label: int | None = None) -> Tensor:
        """All of them, ``(count, C, H, W)``."""
        return torch.cat([torch.zeros(0, *self.run.spec.shape), *(images for images, _ in self.chunks(count, label))])

    def label(self, text: str) -> int:
        """The class that people name by its name or its number.

        Raises:
            UsageError: there is none, or the technique takes none.
        """
        if not self.conditions:
            raise UsageError(f"{self.run.name} cannot be told which class to generate.", who("generate", "condition"))
        classes = self.run.spec.classes
        if text in classes:
            return classes.index(text)
        if text.isdecimal() and int(text) < len(classes):
            return int(text)
        raise UsageError(
            f"There is no class {text!r}; there are {', '.join(classes[:20])}{', …' if len(classes) > 20 else ''}.",
            did_you_mean(text, classes),
        )

    def _labels(self, number: int, label: int | None) -> Tensor | None:
        if not self.conditions:
            return None
        if label is not None:
            return torch.full((CHUNK,), label)
        counts = self.run.spec.class_counts.get("train") or (1,) * len(self.run.spec.classes)
        generator = self.runtime.generator("generated classes", number, device="cpu")
        return torch.multinomial(
            torch.tensor(counts, dtype=torch.float64), CHUNK, replacement=True, generator=generator
        )


def write_generated(generating: Generating, count: int, label: int | None, folder: Path | None) -> dict[str, Any]:
    """Generate and write ``00000.png``…, ``sheet.png`` (the first hundred) and ``manifest.csv``.

    The manifest has a row for each file: ``image_path``, ``label`` (where classes were asked for), ``seed``, ``run``;
    so it is data that ``--data`` takes.

    Args:
        generating: the run.
        count: how many images, at least 1.
        label: their class.
        folder: new or empty; None: the next free one in the run's ``generated/``.

    Returns:
        ``{"folder", "images", "seed", "class", "sheet", "manifest"}``.
    """
    run, seed, classes = generating.run, generating.runtime.seed, generating.run.spec.classes
    chunks = generating.chunks(count, label)
    first = next(chunks)  # what cannot be generated leaves no folder
    folder = made_folder(folder, run.path / "generated")
    writer = Pictures(folder, {"image": "image"})
    shown: list[Tensor] = []
    rows: list[list[str]] = []
    for images, labels in chain([first], chunks):
        writer.write([Path(f"{len(rows) + place:05d}") for place in range(len(images))], {"image": images.numpy()})
        names = [] if labels is None else [classes[each] for each in labels.tolist()]
        rows += [[file, *names[place : place + 1]] for place, file in enumerate(writer.saved["image"])]
        if len(rows) <= _SHEET + CHUNK:
            shown.append(images)
    _write_manifest(folder / "manifest.csv", rows, seed, run.name)
    with atomic_path(folder / "sheet.png") as temporary:
        names = [row[1] for row in rows[:_SHEET] if len(row) > 1 and label is None]
        temporary.write_bytes(png(_sheet(torch.cat(shown)[:_SHEET], names)))
    return {
        "folder": folder,
        "images": len(rows),
        "seed": seed,
        "class": None if label is None else classes[label],
        "sheet": folder / "sheet.png",
        "manifest": folder / "manifest.csv",
    }


def _write_manifest(target: Path, rows: list[list[str]], seed: int, run: str) -> None:
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["image_path", "label", "seed", "run"] if len(rows[0]) > 1 else ["image_path", "seed", "run"])
    table.writerows([*map(csv_text, row), seed, run] for row in rows)
    write_text(target, text.getvalue())


def _sheet(images: Tensor, names: list[str]) -> Figure:
    """Ten in a row; with the names of their classes where they differ."""
    if names:
        return plots.captioned([*images], [plots.short(name, 14) for name in names], columns=10)
    rows = torch.split(images, 10)
    return plots.image_grid(rows, [""] * len(rows))
