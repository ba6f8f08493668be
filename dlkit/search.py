"""Similar images: those whose codes point in the same direction as the query's."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.nn import functional as F

from dlkit.baselines import wilson_interval
from dlkit.data import load_data, read_images, to_pixels
from dlkit.data.digests import digests
from dlkit.errors import DataError, DlkitError, UsageError
from dlkit.files import read_json
from dlkit.loading import load_for
from dlkit.metrics import Metric, Metrics
from dlkit.report.label_plots import captioned
from dlkit.report.style import short
from dlkit.run.model_files import PLAIN
from dlkit.runtime import Runtime
from dlkit.runtime.checkpoint import write_tensors
from dlkit.session import ready
from dlkit.supervised.pixels import small_pixels
from dlkit.technique import Encodes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dlkit.data import ImageData, Split
    from dlkit.display import Display
    from dlkit.run import Run

RANKS = (1, 5, 10)
"""The k of recall@k."""
_KEPT_BYTES = 256 << 20
"""Codes that take more than this are not kept in the run's directory."""
_GALLERY, _QUERIES = 20_000, 2_000
"""Training images that recall@k looks among, and held-out images that it looks for, at most; spread evenly."""


@dataclass(frozen=True)
class Hit:
    """An image that was found.

    Attributes:
        split, index: where it is.
        file: its file, or split and number.
        label: its class, labels or numbers, as text; empty where unknown.
        distance: 1 − the cosine of the angle between the codes, 0 … 2.
    """

    split: str
    index: int
    file: str
    label: str
    distance: float


class Search:
    """Images with their codes.

    Args:
        run: a run whose technique encodes.
        within: what to search in, as ``--data`` takes it; by default the run's own data.
        display: where progress is shown.
        runtime: by default one with the run's options.

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
        self.codes = _directions(self._codes(display))

    def _codes(self, display: Display) -> dict[str, Tensor]:
        """Split's name → codes ``(N, Z)``; from the run's directory, where they were computed before."""
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
            except DlkitError as error:  # a run that cannot be written to can be searched all the same
                display.warn(f"The codes are not kept: {error.message}")
        return codes

    def find(self, query: Path, k: int) -> tuple[Tensor, list[Hit]]:
        """The ``k`` most similar images, the most similar first; those with the query's very pixels are left out.

        Returns:
            The query's pixels ``(C, H, W)``, and what was found.

        Raises:
            DataError: the query is no image that can be read.
        """
        if not query.is_file():
            raise DataError(f"There is no image {str(query)!r}.", "QUERY is the path of an image file.")
        raw = read_images([query], self.run.spec)
        with self.runtime.inference():
            code = self._technique.encode(to_pixels(raw).to(self.runtime.device)).float().cpu().flatten(1)
        direction = F.normalize(code, dim=1)[0]
        itself = np.frombuffer(digests(raw.numpy())[0], dtype=np.uint8)
        found = [hit for split in self.splits for hit in self._near(split, direction, itself, k)]
        order = sorted(range(len(found)), key=lambda place: (found[place].distance, place))
        return to_pixels(raw)[0], [found[place] for place in order[:k]]

    def _near(self, split: Split, direction: Tensor, itself: NDArray[np.uint8], k: int) -> list[Hit]:
        distances = (1 - self.codes[split.name] @ direction).clamp_min(0)
        if split.digests is not None:
            distances[torch.from_numpy((split.digests == itself).all(1))] = torch.inf
        nearest = distances.argsort(stable=True)[:k].tolist()
        return [
            Hit(split.name, index, _file(split, index), self._label(split, index), float(distances[index]))
            for index in nearest
            if distances[index] < torch.inf
        ]

    def _label(self, split: Split, index: int) -> str:
        names = self.data.spec.classes
        if split.labels is not None:
            return names[split.labels[index]] if split.labels[index] >= 0 else ""
        if split.targets is None or bool(split.targets[index].isnan().any()):
            return ""
        if self.data.spec.target == "multi-label":
            return "; ".join(name for name, has in zip(names, split.targets[index], strict=True) if has)
        return "; ".join(f"{value:g}" for value in split.targets[index].tolist())

    def picture(self, query: tuple[str, Tensor], found: Sequence[Hit]) -> Figure:
        """The query, then what was found, with distances, labels and files."""
        splits = {split.name: split for split in self.splits}
        images = [splits[hit.split].pixels(torch.tensor([hit.index]))[0] for hit in found]
        captions = ["\n".join((f"{hit.distance:.3f}", short(hit.label, 22), _name(hit.file))) for hit in found]
        return captioned([query[1], *images], [f"query\n \n{_name(query[0])}", *captions])

    def recall(self) -> Metrics:
        """Recall@k: of how many held-out images is one of the k nearest training images of the same class.

        Beside the same by the cosine of raw pixels (shrunk to 32 × 32 at most), and by chance.

        Raises:
            UsageError: images without classes.
            DataError: no labelled images to search among or for.
        """
        held_out, train = self.data.held_out, self.data.train
        if held_out.labels is None or train.labels is None:
            raise UsageError("Recall needs images with classes, in train and test.", "Leave out --recall, or --in.")
        gallery, wanted = _spread(train.labels, _GALLERY), _spread(held_out.labels, _QUERIES)
        if held_out is train or len(gallery) == 0 or len(wanted) == 0:
            raise DataError("There are no labelled training images to search among, or no held-out ones to search for.")
        labels, truth = train.labels[gallery], held_out.labels[wanted]
        hits = _hits(self.codes[train.name][gallery], self.codes[held_out.name][wanted], labels, truth)
        raw = _hits(_pixels(train, gallery), _pixels(held_out, wanted), labels, truth)
        return Metrics(tuple(_row(k, hits, raw, labels, truth, held_out.name) for k in RANKS if k <= len(gallery)))


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


def _directions(codes: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: F.normalize(each.float(), dim=1) for name, each in codes.items()}


def _file(split: Split, index: int) -> str:
    return f"{split.name} {index}" if split.files is None else split.files[index]


def _name(file: str) -> str:
    return short(PurePath(file).name, 18, end=True)


def _spread(labels: Tensor, most: int) -> Tensor:
    known = torch.nonzero(labels >= 0).flatten()
    return known[torch.linspace(0, len(known) - 1, most).round().long()] if len(known) > most else known


def _pixels(split: Split, indices: Tensor) -> Tensor:
    return F.normalize(torch.from_numpy(small_pixels(split, indices.numpy())), dim=1)


def _hits(gallery: Tensor, queries: Tensor, labels: Tensor, truth: Tensor) -> Tensor:
    """Whether each of the nearest gallery images is of the query's class, bool ``(Q, 10)``."""
    most = min(max(RANKS), len(gallery))
    nearest = [(chunk @ gallery.T).topk(most, dim=1).indices for chunk in torch.split(queries, 256)]
    return labels[torch.cat(nearest)] == truth[:, None]


def _row(k: int, hits: Tensor, raw: Tensor, labels: Tensor, truth: Tensor, split: str) -> Metric:
    value, pixels = (float(each[:, :k].any(1).double().mean()) for each in (hits, raw))
    return Metric(
        name=f"recall_at_{k}", label=f"recall@{k}", value=value, split=split, better="higher",
        interval=wilson_interval(value, len(truth)),
        baselines={"raw pixels": pixels, "chance": _chance(k, labels, truth)},
        note=f"{len(truth):,} images, looked for among {len(labels):,} training images" if k == 1 else "",
    )  # fmt: skip


def _chance(k: int, labels: Tensor, truth: Tensor) -> float:
    """Recall@k of k gallery images drawn at random: 1 − Π (others − j) / (all − j), j < k."""
    count = len(labels)
    same: Any = torch.bincount(labels, minlength=int(truth.max()) + 1)[truth].double()
    missed = torch.ones_like(same)
    for drawn in range(k):
        missed *= ((count - same - drawn) / (count - drawn)).clamp_min(0)
    return float(1 - missed.mean())
