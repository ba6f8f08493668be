"""Distances between sets of features against closed forms and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from dlkit.judging.distances import (
    covariance_distance,
    frechet,
    gaussian_discrepancy,
    kernel_distance,
    median_distance,
    nearest,
    overlap,
)


def draws(count: int, size: int, seed: int, shift: float = 0.0, scale: float = 1.0) -> np.ndarray:
    random = np.random.default_rng(seed)
    mix = np.random.default_rng(9).normal(size=(size, size))
    return random.normal(size=(count, size)) @ mix * scale + shift


def test_frechet_equals_the_matrix_square_root() -> None:
    first, second = draws(200, 12, 0), draws(150, 12, 1, 0.3, 1.4)
    means = first.mean(0) - second.mean(0)
    covariances = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = means @ means + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert frechet(first, second) == pytest.approx(expected, rel=1e-9)


def test_frechet_of_gaussians_on_a_line() -> None:
    # (μ₁ − μ₂)² + (σ₁ − σ₂)²
    assert covariance_distance(np.array([[4.0]]), np.array([[0.25]])) == pytest.approx((2 - 0.5) ** 2)
    rotation = scipy.stats.ortho_group.rvs(5, random_state=0)
    sizes = np.array([1.0, 4.0, 9.0, 0.0, 2.0]), np.array([4.0, 1.0, 0.25, 3.0, 0.0])
    first, second = (rotation * size @ rotation.T for size in sizes)  # they commute
    expected = ((np.sqrt(sizes[0]) - np.sqrt(sizes[1])) ** 2).sum()
    assert covariance_distance(first, second) == pytest.approx(expected, abs=1e-6)


def test_frechet_is_zero_for_the_same_images_also_where_there_are_few() -> None:
    few = draws(10, 40, 0)
    assert abs(frechet(few, few)) < 1e-5 * np.trace(np.cov(few, rowvar=False))


def test_the_kernel_distance_is_the_double_sum() -> None:
    first, second = draws(9, 4, 0), draws(7, 4, 1, 0.5)

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / 4 + 1) ** 3)

    def within(a: np.ndarray) -> float:
        pairs = [kernel(x, y) for i, x in enumerate(a) for j, y in enumerate(a) if i != j]
        return float(np.mean(pairs))

    between = np.mean([kernel(x, y) for x in first for y in second])
    assert kernel_distance(first, second) == pytest.approx(within(first) + within(second) - 2 * between, rel=1e-9)


def test_the_kernel_distance_is_unbiased() -> None:
    values = [kernel_distance(draws(30, 3, 2 * seed), draws(30, 3, 2 * seed + 1)) for seed in range(300)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(300)


def test_the_discrepancy_is_the_double_sum() -> None:
    first, second, width = draws(9, 4, 0), draws(7, 4, 1, 0.5), 1.7

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.exp(-((a - b) ** 2).sum() / (2 * width**2)))

    def within(a: np.ndarray) -> float:
        return float(np.mean([kernel(x, y) for i, x in enumerate(a) for j, y in enumerate(a) if i != j]))

    between = np.mean([kernel(x, y) for x in first for y in second])
    expected = within(first) + within(second) - 2 * between
    assert gaussian_discrepancy(first, second, width) == pytest.approx(expected, rel=1e-9)
    values = [gaussian_discrepancy(draws(30, 3, 2 * seed), draws(30, 3, 2 * seed + 1), 2.0) for seed in range(300)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(300)


def test_the_median_distance() -> None:
    values = draws(40, 3, 0)
    distances = [float(np.linalg.norm(x - y)) for i, x in enumerate(values) for y in values[:i]]
    assert median_distance(values) == pytest.approx(np.median(distances), rel=1e-6)
    assert median_distance(np.ones((5, 2))) == 1


def test_overlap_is_what_a_plain_loop_counts() -> None:
    genuine, generated, k = draws(40, 3, 0), draws(30, 3, 1, 0.7), 5

    def reach(points: np.ndarray) -> np.ndarray:
        return np.array([np.sort(np.linalg.norm(points - point, axis=1))[k] for point in points])

    ours, theirs = reach(genuine), reach(generated)
    distance = np.linalg.norm(genuine[:, None] - generated[None], axis=2)
    found = overlap(genuine, generated, k)
    assert found.precision == np.mean([any(distance[i, j] <= ours[i] for i in range(40)) for j in range(30)])
    assert found.recall == np.mean([any(distance[i, j] <= theirs[j] for j in range(30)) for i in range(40)])
    assert found.density == pytest.approx(sum((distance[:, j] <= ours).sum() for j in range(30)) / (k * 30))
    assert found.coverage == np.mean([distance[i].min() <= ours[i] for i in range(40)])


def test_nearest() -> None:
    queries, gallery = draws(1100, 3, 0), draws(50, 3, 1)
    distances = np.linalg.norm(queries[:, None] - gallery[None], axis=2)
    places, found = nearest(queries, gallery)
    assert (places == distances.argmin(1)).all()
    np.testing.assert_allclose(found, distances.min(1), atol=1e-6)
