"""The work: the images as they are, augmented copies of the training images, generated ones; and the manifest."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from dlkit.data.files import FileImages, usable_cpus
from dlkit.data.listing import ORIGINS, SPLITS, Ints
from dlkit.data.manifest import MANIFEST
from dlkit.data.resolve import source_of
from dlkit.data.text import csv_text
from dlkit.display import Display
from dlkit.enlarge import generating
from dlkit.enlarge.copying import Copying, encoded, names_of, parameters_of
from dlkit.enlarge.folder import Folder
from dlkit.enlarge.generating import Share, Wanted
from dlkit.enlarge.material import Material
from dlkit.enlarge.names import Names, folder_of, stem_of
from dlkit.errors import Interrupted, UsageError
from dlkit.files import writing
from dlkit.runtime import Runtime
from dlkit.runtime.signals import interruptible

_ABOUT = ("origin", "source", "operations", "parameters", "seed")
MASKS = "masks"
"""The folder of the masks, beside those of the splits; no class, since the manifest says what the images are."""


@dataclass(frozen=True)
class _Entry:
    """A file that is going to be: copy 0 of an image is the image itself."""

    file: str
    origin: str
    split: str
    label: tuple[str, ...]
    source: str
    mask: str = ""


@dataclass
class _Plan:
    """All files, in the manifest's order; and for each image and each share which they are."""

    entries: list[_Entry] = field(default_factory=list)
    copies: dict[tuple[int, int], _Entry] = field(default_factory=dict)
    shares: list[tuple[Share, list[str]]] = field(default_factory=list)


def enlarge(
    material: Material, path: Path, runtime: Runtime, display: Display, copying: Copying | None, wanted: Wanted | None
) -> dict[str, Any]:
    """Write the enlarged data set, or finish what the same command began.

    Args:
        material: the data.
        path: a folder that is new, empty or from the same command; not within the data's own.
        runtime: of the seed, threads and the device.
        display: where progress is shown.
        copying: how its training images are augmented; None: not at all.
        wanted: what is generated; None: nothing.

    Returns:
        ``{"folder", "was_complete", "manifest", "masks", "labels", "original", "augmented", "generated", "counts",
        "skipped"}``; ``was_complete``: there was nothing to do; ``masks`` is None where there are none.

    Raises:
        UsageError: the folder is somebody else's, or made otherwise.
        DataError: an image or a mask cannot be read.
        Interrupted: on a signal; the same command goes on.
    """
    _refuse_within(path, material, copying)
    folder = Folder(path, _facts(material, copying, wanted, runtime))
    was_complete = folder.complete
    if not was_complete:
        plan = _planned(material, copying, wanted)
        try:
            with interruptible(), folder.open():
                _Work(material, folder, plan, runtime, display).run(copying, wanted)
        except Interrupted as stop:
            stop.hint = "What was written is kept; the same command goes on."
            raise
    masks = None if copying is None or copying.masks is None else path / MASKS
    about = {"folder": path, "was_complete": was_complete, "manifest": path / MANIFEST, "masks": masks,
             "labels": list(material.columns)}  # fmt: skip
    return about | _counts(path / MANIFEST) | {"skipped": material.skipped}


def _refuse_within(path: Path, material: Material, copying: Copying | None) -> None:
    if not isinstance(material.listing.images, FileImages):
        return
    folders = [material.options.data]
    if copying is not None and copying.masks is not None:
        folders.append(str(copying.masks.folder))
    for folder in folders:
        there = Path(folder).expanduser()
        if there.is_dir() and path.expanduser().resolve().is_relative_to(there.resolve()):
            raise UsageError(f"--out {path} lies within {folder!r}: its images would become a part of that data.",
                             "Choose a folder outside of it.")  # fmt: skip


def _facts(material: Material, copying: Copying | None, wanted: Wanted | None, runtime: Runtime) -> dict[str, Any]:
    size = material.options.image_size
    return {
        "data": source_of(material.options.data),
        "listing": material.digest,
        "augment": None if copying is None else str(copying.policy),
        "copies": 0 if copying is None else copying.copies,
        "masks": None if copying is None or copying.masks is None else str(copying.masks.folder.absolute()),
        "seed": runtime.seed,
        "image_size": None if size is None else [size.height, size.width],
        "generated": None if wanted is None else wanted.facts(),
    }


def _planned(material: Material, copying: Copying | None, wanted: Wanted | None) -> _Plan:
    plan, names = _Plan(), Names()
    by_class = material.listing.target == "classes" and bool(material.listing.classes)
    drawn = [] if wanted is None else generating.shares(wanted, material)
    for image in np.flatnonzero(material.splits >= 0).tolist():
        split, label, source = SPLITS[material.splits[image]], material.label(image), material.name(image)
        folder = folder_of(split, label, by_class=by_class)
        path = material.file(image) if isinstance(material.listing.images, FileImages) else Path(f"{image:05d}.png")
        for copy in range(1 + (copying.copies if copying is not None and split == "train" else 0)):
            suffix = path.suffix.lower() if copy == 0 and material.untouched else ".png"
            stem = stem_of(path.name) + (f"-augmented-{copy}" if copy else "")
            masked = copying is not None and copying.masks is not None
            mask = names.free(f"{MASKS}/{folder}", stem, ".png") if masked else ""
            origin = "augmented" if copy else "original"
            entry = _Entry(names.free(folder, stem, suffix), origin, split, label, source, mask)
            plan.entries.append(entry)
            plan.copies[image, copy] = entry
    for share in drawn:
        mixed = share.number is None and wanted is not None and generating.gives_labels(wanted.run, material)
        folder = folder_of("train", share.label, by_class=by_class and not mixed)
        files = [names.free(folder, f"generated-{place:05d}", ".png") for place in range(share.count)]
        plan.shares.append((share, files))
        source = "" if wanted is None else str(wanted.run.path)
        plan.entries += [_Entry(file, "generated", "train", share.label, source) for file in files]
    return plan


class _Work:
    """Filling the folder, a batch of files after another."""

    def __init__(self, material: Material, folder: Folder, plan: _Plan, runtime: Runtime, display: Display) -> None:
        self.material, self.folder, self.plan = material, folder, plan
        self.runtime, self.display = runtime, display
        self.workers = runtime.options.workers or usable_cpus()

    def run(self, copying: Copying | None, wanted: Wanted | None) -> None:
        self.masks = None if copying is None else copying.masks
        total, done = len(self.plan.entries), sum(entry.file in self.folder.done for entry in self.plan.entries)
        with (
            ThreadPoolExecutor(self.workers, thread_name_prefix="write") as self.pool,
            self.display.progress("Writing images", total, "files", done=done) as self.bar,
        ):
            train = self.material.train
            if copying is not None:
                for batch in self.material.batches(train):
                    self._copies(batch, copying)
            self._originals()
            if wanted is not None:
                for share, files in self.plan.shares:
                    self._generated(share, files, wanted)
        header = (
            "image_path",
            *map(csv_text, self.material.columns),
            "split",
            *_ABOUT,
            *(["mask"] if self.masks else []),
        )
        self.folder.finish(header, self._rows())

    def _missing(self, images: Ints, copy: int) -> Ints:
        entries = [self.plan.copies[image, copy] for image in images.tolist()]
        wanted = [not {entry.file, entry.mask or entry.file} <= self.folder.done.keys() for entry in entries]
        return images[np.array(wanted, dtype=np.bool_)]

    def _copies(self, images: Ints, copying: Copying) -> None:
        """All copies of a batch; where images are not kept as files, the images themselves too."""
        turns = range(1, copying.copies + 1)
        if not any(len(self._missing(images, copy)) for copy in turns):
            return
        good, raw = self.material.read(images)
        masks = None if self.masks is None else self.masks.read(good)
        for copy in turns:
            missing = self._missing(good, copy)
            if len(missing) == 0:
                continue
            keys = copying.keys(missing, copy)
            rows = np.isin(good, missing)
            made, history, moved = copying.made(raw[rows], keys, None if masks is None else masks[rows])
            about = [
                {"operations": names_of(done), "parameters": parameters_of(done), "seed": key}
                for done, key in zip(history, keys.tolist(), strict=True)
            ]
            self._mask(missing, copy, moved)
            self._write([self.plan.copies[image, copy].file for image in missing.tolist()], made, about)

    def _originals(self) -> None:
        images = self._missing(np.flatnonzero(self.material.splits >= 0), 0)
        if self.material.untouched:
            for start in range(0, len(images), 256):
                part = images[start : start + 256].tolist()
                files = [self.plan.copies[image, 0].file for image in part]
                self._mask(images[start : start + 256], 0)
                sizes = self.pool.map(self._copy, map(self.material.file, part), files)
                self._note(files, list(sizes), [{}] * len(files))
            return
        for batch in self.material.batches(images):
            good, raw = self.material.read(batch)
            self._mask(good, 0)
            self._write([self.plan.copies[image, 0].file for image in good.tolist()], raw, [{}] * len(good))

    def _mask(self, images: Ints, copy: int, moved: Tensor | None = None) -> None:
        """The masks of images as they are, or of a copy as they were moved ``(n, 1, H, W)``; where there are masks."""
        masks = self.masks
        if masks is None:
            return

        def save(place: int, image: int) -> dict[str, Any]:
            file = self.plan.copies[image, copy].mask
            values = masks.values(image) if moved is None else moved[place, 0]
            return {"file": file, "bytes": self.folder.write(file, masks.encoded(image, values))}

        self.folder.note(self.pool.map(save, range(len(images)), images.tolist()))

    def _copy(self, source: Path, file: str) -> int:
        target = self.folder.path / file
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            return target.stat().st_size

    def _generated(self, share: Share, files: Sequence[str], wanted: Wanted) -> None:
        if all(file in self.folder.done for file in files):
            return
        images = generating.drawn(share, wanted, self.material, self.runtime, Display(quiet=True))
        for place, (file, (raw, label)) in enumerate(zip(files, images, strict=True)):
            about = {"parameters": generating.parameters(share, wanted, place), "seed": share.seed, "label": label}
            if file not in self.folder.done:
                self._write([file], [raw], [about])

    def _write(self, files: Sequence[str], raw: Tensor | Sequence[Tensor], about: Sequence[dict[str, Any]]) -> None:
        self._note(files, list(self.pool.map(self._save, files, raw)), about)

    def _save(self, file: str, raw: Tensor) -> int:
        return self.folder.write(file, encoded(raw))

    def _note(self, files: Sequence[str], sizes: Sequence[int], about: Sequence[dict[str, Any]]) -> None:
        self.folder.note({"file": file, "bytes": size, **facts} for file, size, facts in
                         zip(files, sizes, about, strict=True))  # fmt: skip
        self.bar.advance(len(files))

    def _rows(self) -> Iterator[Sequence[str]]:
        """A row for each file; none for images that could not be read."""
        numbers = self.material.listing.target == "number"
        for entry in self.plan.entries:
            row = self.folder.done.get(entry.file)
            if row is not None:
                about = (str(row.get(key, "")) for key in _ABOUT[2:])
                label = row.get("label", entry.label)
                label = label if numbers else map(csv_text, label)
                mask = [entry.mask] if entry.mask else []
                yield (entry.file, *label, entry.split, entry.origin, csv_text(entry.source), *about, *mask)


def _counts(manifest: Path) -> dict[str, Any]:
    with manifest.open(encoding="utf-8", newline="") as file:
        rows = [(row["origin"], row["split"]) for row in csv.DictReader(file)]
    kinds, splits = Counter(kind for kind, _ in rows), Counter(split for _, split in rows)
    return {**{kind: kinds[kind] for kind in ORIGINS}, "counts": {name: splits[name] for name in SPLITS}}
