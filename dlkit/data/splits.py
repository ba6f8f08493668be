"""Splits that the data lacks: seeded, stratified by class."""

from __future__ import annotations

import numpy as np

from dlkit.data.listing import SPLITS, UNASSIGNED, UNLABELLED, Ints

_TRAIN, _VAL, _TEST = (SPLITS.index(name) for name in ("train", "val", "test"))


def assign_splits(splits: Ints, labels: Ints | None, *, val_fraction: float, test_fraction: float, seed: int) -> Ints:
    """Complete the splits: a test split of ``test_fraction`` of all images, then a val split of ``val_fraction`` of the
    training images, each only where the data has none.

    Both come out of the training images (or those without a split); unlabelled images among labelled ones stay in
    train. Each class gives its share, rounded up or down, so that the whole is the fraction, rounded.

    Args:
        splits: ``(N,)``, -1 where the data names none.
        labels: ``(N,)`` or None.

    Returns:
        ``(N,)``, without -1.
    """
    done = np.where(splits == UNASSIGNED, _TRAIN, splits)
    # The legacy generator is the one whose stream NumPy promises never to change (NEP 19).
    random = np.random.RandomState(seed)
    for split, fraction in ((_TEST, test_fraction), (_VAL, val_fraction)):
        if (splits == split).any() or fraction == 0:
            continue
        pool = np.flatnonzero(done == _TRAIN)
        strata = np.zeros(len(pool), dtype=np.int64) if labels is None else labels[pool]
        if labels is not None:
            pool, strata = pool[strata != UNLABELLED], strata[strata != UNLABELLED]
        of_all = fraction * (len(splits) if labels is None else int((labels != UNLABELLED).sum()))
        wanted = round(of_all if split == _TEST else fraction * len(pool))
        done[pool[_draw(strata, min(wanted, len(pool)), random)]] = split
    return done


def _draw(strata: Ints, wanted: int, random: np.random.RandomState) -> Ints:
    """Positions of ``wanted`` members, each stratum in proportion, and leaving at least one of each behind."""
    if wanted == 0 or len(strata) == 0:
        return np.empty(0, dtype=np.int64)
    _, stratum, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    shares = sizes * (wanted / len(strata))
    counts = np.floor(shares).astype(np.int64)
    # Largest remainders get what rounding down left over (ties: the earlier stratum).
    order = np.argsort(-(shares - counts), kind="stable")
    counts[order[: wanted - int(counts.sum())]] += 1
    counts = np.minimum(counts, sizes - 1)
    shuffled = random.permutation(len(strata))
    by_stratum = shuffled[np.argsort(stratum[shuffled], kind="stable")]
    starts = np.cumsum(sizes) - sizes
    taken = [by_stratum[start : start + count] for start, count in zip(starts, counts, strict=True)]
    return np.sort(np.concatenate(taken)).astype(np.int64)
