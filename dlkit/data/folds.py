"""Cross-validation: one of K equal parts of the images becomes the test split."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dlkit.data.listing import SPLITS, UNASSIGNED, UNLABELLED, Ints, Listing
from dlkit.errors import DataError
from dlkit.options.values import Fold

LEFT_OUT = -2
"""Split number of an image that is in none."""
_TRAIN, _VAL, _TEST = (SPLITS.index(name) for name in ("train", "val", "test"))


def with_fold(listing: Listing, fold: Fold, strata: Ints | None, seed: int) -> Listing:
    """The listing with the fold's images as its test split, and the other parts as its training images.

    Where the source names a test split, that one is left out altogether, so that it stays untouched, and the parts are
    made of the training images; otherwise they are made of all images, and a val split is drawn from what is left.

    Args:
        listing: as its source has it.
        fold: which part of how many.
        strata: ``(N,)``, the classes, each spread evenly over the parts; images with -1 are always trained on.
        seed: of the parts; the same for all K of them.

    Raises:
        DataError: fewer images than parts.
    """
    splits = listing.splits
    published = splits == _TEST
    pool = np.isin(splits, (_TRAIN, UNASSIGNED)) if published.any() else np.ones(len(splits), dtype=np.bool_)
    if strata is not None:
        pool &= strata != UNLABELLED
    members = np.flatnonzero(pool)
    if len(members) < fold.count:
        raise DataError(f"{listing.name}: {len(members)} images cannot be parted into {fold.count} folds.")
    done = np.where(published, LEFT_OUT, splits)
    if not published.any():
        done[:] = _TRAIN
    done[members] = _TRAIN
    part = parts(None if strata is None else strata[members], len(members), fold.count, seed)
    done[members[part == fold.number - 1]] = _TEST
    notice = f"Fold {fold}: of {len(members):,} images, one part in {fold.count} is the test split."
    if published.any():
        notice += f" The data's own {int(published.sum()):,} test images are left out."
    return replace(listing, splits=done, notices=(*listing.notices, notice))


def parts(strata: Ints | None, count: int, folds: int, seed: int) -> Ints:
    """The part, 0 … folds − 1, of each of ``count`` images: sizes differ by one at most, also within each class."""
    random = np.random.RandomState(seed)  # the legacy generator, whose stream never changes (NEP 19)
    order = random.permutation(count)
    if strata is not None:
        order = order[np.argsort(strata[order], kind="stable")]
    part = np.empty(count, dtype=np.int64)
    part[order] = np.arange(count) % folds
    return part
