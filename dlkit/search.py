"""Similar images: those whose codes point in the same direction as the query's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from dlkit.baselines import wilson_interval
from dlkit.coded import CodedImages, name_of
from dlkit.data import read_images, to_pixels
from dlkit.data.digests import digests
from dlkit.data.spread import evenly
from dlkit.errors import DataError, UsageError
from dlkit.metrics import Metric, Metrics
from dlkit.report.label_plots import captioned
from dlkit.report.style import short
from dlkit.runtime import Runtime
from dlkit.supervised.pixels import small_pixels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dlkit.data import Split
    from dlkit.display import Display
    from dlkit.run import Run

RANKS = (1, 5, 10)
"""The k of recall@k."""
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
        self._images = CodedImages(run, display, within=within, runtime=runtime)
        self.data, self.splits = self._images.data, self._images.splits
        self.codes = {name: F.normalize(codes, dim=1) for name, codes in self._images.codes.items()}

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
        direction = F.normalize(self._images.encode(to_pixels(raw)), dim=1)[0]
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
            Hit(split.name, index, name_of(split, index), self._images.label(split, index), float(distances[index]))
            for index in nearest
            if distances[index] < torch.inf
        ]

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
        gallery, wanted = _known(train.labels, _GALLERY), _known(held_out.labels, _QUERIES)
        if held_out is train or len(gallery) == 0 or len(wanted) == 0:
            raise DataError("There are no labelled training images to search among, or no held-out ones to search for.")
        labels, truth = train.labels[gallery], held_out.labels[wanted]
        hits = _hits(self.codes[train.name][gallery], self.codes[held_out.name][wanted], labels, truth)
        raw = _hits(_pixels(train, gallery), _pixels(held_out, wanted), labels, truth)
        return Metrics(tuple(_row(k, hits, raw, labels, truth, held_out.name) for k in RANKS if k <= len(gallery)))


def _name(file: str) -> str:
    return short(PurePath(file).name, 18, end=True)


def _pixels(split: Split, indices: Tensor) -> Tensor:
    return F.normalize(torch.from_numpy(small_pixels(split, indices.numpy())), dim=1)


def _known(labels: Tensor, most: int) -> Tensor:
    known = torch.nonzero(labels >= 0).flatten()
    return known[evenly(len(known), most)]


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
