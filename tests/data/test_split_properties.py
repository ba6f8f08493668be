"""Properties of the splits that dlkit makes."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dlkit.data.listing import unassigned
from dlkit.data.splits import assign_splits

TRAIN, VAL, TEST = 0, 1, 2

labels_of = st.lists(st.integers(0, 5), min_size=1, max_size=200).map(lambda values: np.array(values, dtype=np.int64))
fraction = st.floats(0, 0.9)


def assign(labels: np.ndarray, val: float, test: float, seed: int = 0) -> np.ndarray:
    return assign_splits(unassigned(len(labels)), labels, val_fraction=val, test_fraction=test, seed=seed)


@given(labels_of, fraction, fraction, st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_stratified_disjoint_complete_and_repeatable(labels: np.ndarray, val: float, test: float, seed: int) -> None:
    splits = assign(labels, val, test, seed)
    assert np.array_equal(splits, assign(labels, val, test, seed))
    assert set(splits.tolist()) <= {TRAIN, VAL, TEST}  # each image in exactly one
    for split, share, pool in ((TEST, test, np.ones(len(labels), bool)), (VAL, val, splits != TEST)):
        wanted = round(share * pool.sum()) / max(1, pool.sum())
        for label in np.unique(labels):
            members = (pool & (labels == label)).sum()
            taken = ((splits == split) & (labels == label)).sum()
            assert abs(taken - wanted * members) <= 1 or taken == members - 1
            assert taken == 0 or taken < members  # at least one is left for training


@given(labels_of, st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_given_splits_stay(labels: np.ndarray, seed: int) -> None:
    given_splits = np.random.default_rng(seed).integers(0, 3, len(labels))
    done = assign_splits(given_splits, labels, val_fraction=0.3, test_fraction=0.3, seed=seed)
    kept = np.isin(given_splits, (VAL, TEST))
    assert np.array_equal(done[kept], given_splits[kept])
    for split in (VAL, TEST):
        if (given_splits == split).any():
            assert np.array_equal(done == split, given_splits == split)


def test_sizes_without_labels() -> None:
    splits = assign_splits(unassigned(1000), None, val_fraction=0.1, test_fraction=0.2, seed=3)
    assert [(splits == split).sum() for split in (TRAIN, VAL, TEST)] == [720, 80, 200]


def test_unlabelled_among_labelled_stay_in_train() -> None:
    labels = np.array([0, 1] * 50 + [-1] * 100)
    splits = assign(labels, 0.1, 0.2)
    assert (splits[100:] == TRAIN).all()
    assert (splits == TEST).sum() == 20
    assert (splits == VAL).sum() == 8


def test_seeds_differ_and_the_stream_is_frozen() -> None:
    labels = np.arange(40) % 4
    assert not np.array_equal(assign(labels, 0.2, 0.2, 0), assign(labels, 0.2, 0.2, 1))
    # Runs made with another version of NumPy must find the same split.
    assert np.flatnonzero(assign(labels, 0, 0.2) == TEST).tolist() == FROZEN


FROZEN = [4, 10, 11, 15, 20, 22, 25, 29]
