"""NMI, ARI and accuracy of clusters, beside scikit-learn's and beside trying every pairing."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from dlkit.agreement import adjusted_rand, agreement_metrics, contingency, matched_accuracy, mutual_information


def drawn(seed: int, classes: int, clusters: int, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count)
    found = np.where(random.random(count) < 0.6, labels % clusters, random.integers(0, clusters, count))
    return labels, found


@pytest.mark.parametrize(("seed", "classes", "clusters"), [(0, 3, 3), (1, 4, 7), (2, 5, 2), (3, 1, 1), (4, 3, 1)])
def test_figures_are_scikit_learns(seed: int, classes: int, clusters: int) -> None:
    labels, found = drawn(seed, classes, clusters)
    table = contingency(labels, found, (classes, clusters))
    assert float(mutual_information(table)) == pytest.approx(normalized_mutual_info_score(labels, found), abs=1e-12)
    assert float(adjusted_rand(table)) == pytest.approx(adjusted_rand_score(labels, found), abs=1e-12)


def test_many_tables_at_once() -> None:
    tables = np.stack([contingency(*drawn(seed, 3, 4), (3, 4)) for seed in range(5)])
    for figure in (mutual_information, adjusted_rand, matched_accuracy):
        assert figure(tables) == pytest.approx([float(figure(table)) for table in tables])


@pytest.mark.parametrize(("classes", "clusters"), [(4, 4), (3, 5), (5, 3)])
def test_the_pairing_is_the_best_of_all(classes: int, clusters: int) -> None:
    table = contingency(*drawn(7, classes, clusters), (classes, clusters))
    wide = table if classes <= clusters else table.T
    best = max(sum(wide[row, column] for row, column in enumerate(order))
               for order in permutations(range(wide.shape[1]), wide.shape[0]))  # fmt: skip
    assert float(matched_accuracy(table)) == best / table.sum()


def test_metrics_hold_intervals_and_baselines() -> None:
    table = contingency(*drawn(0, 3, 3), (3, 3))
    rows = list(agreement_metrics(table, {"raw pixels": table}, split="test", note="n", seed=0))
    assert [row.name for row in rows] == ["nmi", "ari", "cluster_accuracy"]
    for row in rows:
        assert row.interval is not None
        assert row.interval[0] < row.value < row.interval[1]
        assert row.baselines["raw pixels"] == row.value
    assert rows[2].baselines["majority class"] == pytest.approx(table.sum(1).max() / 60)
