"""Partly labelled data, made of labelled data: ``--labels`` hides all labels but a few."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dlkit.data.listing import SPLITS, UNLABELLED, Ints, Listing
from dlkit.errors import DataError
from dlkit.options.values import LabelBudget

_TRAIN, _VAL = (SPLITS.index(name) for name in ("train", "val"))


def with_labels(listing: Listing, splits: Ints, strata: Ints | None, budget: LabelBudget, seed: int) -> Listing:
    """Hide the labels of train and val but those of the budget; the test split keeps its own.

    Whoever has 100 labels has none left to choose epochs and settings by: the budget is that of train and val together,
    each of which gets its share.

    Args:
        listing: with all labels.
        splits: ``(N,)``, complete.
        strata: ``(N,)``, what the draw is stratified by, -1 for unlabelled images; None where nothing is labelled.
        budget: how many.
        seed: of the draw.

    Raises:
        DataError: nothing is labelled; more labels than there are, or fewer than classes.
    """
    strata = np.full(len(splits), UNLABELLED) if strata is None else strata
    pool = np.flatnonzero(np.isin(splits, (_TRAIN, _VAL)) & (strata != UNLABELLED))
    if len(pool) == 0:
        raise DataError(f"--labels {budget}: {listing.name} has no labels to hide.", "Leave it out.")
    wanted = budget.count if budget.count is not None else round(budget.share * len(pool))
    groups = len(np.unique(strata[pool]))
    if wanted > len(pool) or (listing.target == "classes" and wanted < groups):
        raise DataError(
            f"--labels {budget}: {wanted:,} labels, but {listing.name} has {len(pool):,} labelled images to train on "
            f"and validate with, of {groups:,} classes.",
            f"Expected at least one for each class, {groups:,}, and at most {len(pool):,}.",
        )
    kept = pool[draw(strata[pool], splits[pool] == _TRAIN, wanted, seed)]
    hidden = np.setdiff1d(pool, kept)
    train = int((splits[kept] == _TRAIN).sum())
    notice = (
        f"--labels {budget}: the labels of {train:,} train and {len(kept) - train:,} val images are kept, those of the "
        f"other {len(hidden):,} are hidden."
    )
    listing = replace(listing, notices=(*listing.notices, notice))
    if listing.targets is not None:
        targets = listing.targets.copy()
        targets[hidden] = np.nan
        return replace(listing, targets=targets)
    assert listing.labels is not None  # noqa: S101 - there are strata
    labels = listing.labels.copy()
    labels[hidden] = UNLABELLED
    return replace(listing, labels=labels)


def draw(strata: Ints, train: NDArray[np.bool_], wanted: int, seed: int) -> Ints:
    """Positions of ``wanted`` members: one of each stratum in train first, then each in proportion to its size.

    Of each stratum of each split the members come in random order, and the i-th of n (from 0) has the place (i + ½) / n
    among all: Sainte-Laguë's method, which gives shares that are proportional, rounded. A smaller draw with the same
    seed is a part of a larger one.

    Args:
        strata: ``(N,)``, the classes.
        train: bool ``(N,)``; the others are val's.
        wanted: at most N.
        seed: of the order.

    Returns:
        Ascending, ``(wanted,)``.
    """
    random = np.random.RandomState(seed)  # the legacy generator, whose stream never changes (NEP 19)
    shuffled = random.permutation(len(strata))
    _, group, sizes = np.unique(2 * strata[shuffled] + ~train[shuffled], return_inverse=True, return_counts=True)
    order = np.argsort(group, kind="stable")
    rank = np.empty(len(strata), dtype=np.int64)
    rank[order] = np.arange(len(strata)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    place = np.where((rank == 0) & train[shuffled], -1.0, (rank + 0.5) / sizes[group])
    return np.sort(shuffled[np.argsort(place, kind="stable")[:wanted]])
