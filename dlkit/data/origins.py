"""Images that were added to a data set, as its manifest tells: augmented copies, and what a model generated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dlkit.data.folds import LEFT_OUT
from dlkit.data.listing import ORIGINS, SPLITS, UNLABELLED, Ints, Listing
from dlkit.errors import DataError

_TRAIN = SPLITS.index("train")


def with_origins(listing: Listing, origins: Sequence[str], sources: Sequence[str]) -> Listing:
    """The listing with what its manifest's columns say, where they say it in the words of `dlkit augment`.

    Args:
        listing: N images.
        origins: of each: ``original``, ``augmented``, ``generated``; others are somebody's own column of that name.
        sources: of each what it was made of; a copy and its original have the same.
    """
    if not origins or not set(origins) <= set(ORIGINS):
        return listing
    first = {source: place for place, (kind, source) in enumerate(zip(origins, sources, strict=True))
             if kind == "original"}  # fmt: skip
    numbers = [first.get(source, place) if kind == "augmented" else place
               for place, (kind, source) in enumerate(zip(origins, sources, strict=True))]  # fmt: skip
    return replace(listing, origins=tuple(origins), sources=np.array(numbers, dtype=np.int64))


def originals_only(listing: Listing, strata: Ints | None) -> Ints | None:
    """What splits and folds are drawn by: -1 for images that were added, which are never tested on."""
    if listing.origins is None:
        return strata
    groups = np.zeros(len(listing.images), dtype=np.int64) if strata is None else strata
    return np.where(np.array(listing.origins) == "original", groups, UNLABELLED)


def copies_with_sources(listing: Listing, splits: Ints) -> Ints:
    """The splits, with copies of images that are not trained on in none."""
    if listing.sources is None:
        return splits
    return np.where((splits == _TRAIN) & (splits[listing.sources] != _TRAIN), LEFT_OUT, splits)


def labels_of_sources(listing: Listing) -> Listing:
    """Copies have the labels of their images, or none where those were hidden."""
    if listing.sources is None:
        return listing
    if listing.targets is not None:
        return replace(listing, targets=listing.targets[listing.sources])
    return listing if listing.labels is None else replace(listing, labels=listing.labels[listing.sources])


def without(listing: Listing, splits: Ints, unwanted: Sequence[str]) -> Ints:
    """The splits, with images of these origins in none.

    Raises:
        DataError: the data does not say which images were added.
    """
    if not unwanted:
        return splits
    if listing.origins is None:
        raise DataError(
            f"--without {','.join(unwanted)}: {listing.name} does not say which of its images were added.",
            "It is for data that `dlkit augment --out DIR` wrote; its manifest.csv has a column origin.",
        )
    return np.where(np.isin(np.array(listing.origins), unwanted), LEFT_OUT, splits)
