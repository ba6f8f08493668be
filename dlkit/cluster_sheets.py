"""Contact sheets of clusters: what is nearest to the centre, and some of the rest as it comes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from dlkit.report import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dlkit.cluster import Clustering

COLUMNS = 12
RANDOM_ROWS = 3
OVERVIEW = 40
"""So many clusters are on the sheet over all, the largest."""


def sheets(clustering: Clustering, rows: Sequence[dict[str, Any]]) -> Iterator[tuple[str, Figure]]:
    """Names of files and figures: ``clusters`` over all, then one for each cluster that has images.

    Args:
        clustering: see there.
        rows: of :meth:`Clustering.table`.
    """
    shown = [row for row in rows if row["images"]]
    largest = sorted(shown, key=lambda row: -row["images"])[:OVERVIEW]
    yield (
        "clusters",
        plots.image_grid([_nearest(clustering, row["cluster"]) for row in largest], [*map(_title, largest)]),
    )
    digits = len(str(len(rows) - 1))
    random = np.random.default_rng(clustering.seed)
    for row in shown:
        some = _images(clustering, random.permutation(_members(clustering, row["cluster"]))[: RANDOM_ROWS * COLUMNS])
        parts = [_nearest(clustering, row["cluster"]), *torch.split(some, COLUMNS)]
        titles = ["nearest to the centre", "random", *[""] * (len(parts) - 2)]
        yield f"cluster-{row['cluster']:0{digits}d}", plots.image_grid(parts, titles)


def _title(row: dict[str, Any]) -> str:
    most = f", {row['share']:.0%} {plots.short(row['mostly'], 14)}" if "mostly" in row else ""
    return f"{row['cluster']}: {row['images']:,} image{'' if row['images'] == 1 else 's'}{most}"


def _members(clustering: Clustering, cluster: int) -> Any:
    """Positions over all splits of the images in a cluster."""
    return np.flatnonzero(np.concatenate([each.clusters for each in clustering.assigned]) == cluster)


def _nearest(clustering: Clustering, cluster: int) -> Tensor:
    members = _members(clustering, cluster)
    distances = np.concatenate([each.distances for each in clustering.assigned])[members]
    return _images(clustering, members[distances.argsort(kind="stable")[:COLUMNS]])


def _images(clustering: Clustering, places: Any) -> Tensor:
    """Pixels of the images at positions over all splits, in that order."""
    ends = np.cumsum([len(each.split) for each in clustering.assigned])
    which = np.searchsorted(ends, places, side="right")
    found = []
    for number, place in zip(which, places, strict=True):
        split = clustering.assigned[number].split
        found.append(split.pixels(torch.tensor([int(place - ends[number] + len(split))])))
    return torch.cat(found)
