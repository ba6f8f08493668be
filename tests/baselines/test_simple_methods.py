"""PCA, filters and probes, beside the libraries used directly and known values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, median_filter
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier

from dlkit.baselines import PCABaseline, best_filter, knn_accuracy, linear_probe_accuracy, wilson_interval
from dlkit.baselines.filters import GAUSSIAN_SIGMAS, MEDIAN_SIZES, candidates

DIGITS = load_digits()
IMAGES = torch.from_numpy((DIGITS.images / 16).astype(np.float32)).unsqueeze(1)
FLAT = IMAGES.flatten(1).numpy()


def test_pca_is_scikit_learns() -> None:
    pca = PCA(10).fit(FLAT[:300])
    ours = PCABaseline(IMAGES[:300], 10)
    np.testing.assert_allclose(ours.encode(IMAGES[300:320]), pca.transform(FLAT[300:320]), atol=1e-5)
    restored = ours.reconstruct(IMAGES[300:320])
    assert restored.shape == (20, 1, 8, 8)
    np.testing.assert_allclose(restored.flatten(1), pca.inverse_transform(pca.transform(FLAT[300:320])), atol=1e-5)


def test_pca_error_is_the_sum_of_the_eigenvalues_left_out() -> None:
    """Eckart and Young 1936."""
    restored = PCABaseline(IMAGES, 12).reconstruct(IMAGES)
    error = (restored - IMAGES).double().square().flatten(1).sum(1).mean().item()
    eigenvalues = np.linalg.eigvalsh(np.cov(FLAT.astype(np.float64), rowvar=False, bias=True))[::-1]
    assert error == pytest.approx(eigenvalues[12:].sum(), rel=1e-4)


@pytest.mark.parametrize(("count", "components", "expected"), [(5, 10, 5), (300, 100, 64), (300, 3, 3)])
def test_pca_has_no_more_components_than_images_or_pixels(count: int, components: int, expected: int) -> None:
    assert PCABaseline(IMAGES[:count], components).components == expected


def test_filters_act_on_each_image_and_channel() -> None:
    images = torch.rand(3, 2, 9, 7, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.3  # noise leaves [0, 1]
    found = {candidate.name: candidate(images) for candidate in candidates()}
    assert len(found) == len(GAUSSIAN_SIGMAS) + len(MEDIAN_SIZES)
    expected = {f"Gaussian filter, σ {sigma:g} px": (gaussian_filter, {"sigma": sigma}) for sigma in GAUSSIAN_SIGMAS}
    expected |= {f"median filter, {size} × {size}": (median_filter, {"size": size}) for size in MEDIAN_SIZES}
    for name, (function, arguments) in expected.items():
        for index, channel in ((0, 0), (2, 1)):
            np.testing.assert_allclose(
                found[name][index, channel],
                function(images[index, channel].numpy(), **arguments).clip(0, 1),
                atol=1e-6,
            )
        assert found[name].dtype == torch.float32


def test_the_best_filter_fits_the_noise() -> None:
    generator = torch.Generator().manual_seed(1)
    rows = torch.linspace(0, 1, 32).view(1, 1, 32, 1).expand(4, 1, 32, 32).contiguous()
    salted = torch.where(torch.rand(rows.shape, generator=generator) < 0.1, 1.0, rows)
    assert best_filter(salted, rows).name.startswith("median")
    weak = best_filter(IMAGES[:50] + 0.05 * torch.randn(50, 1, 8, 8, generator=generator), IMAGES[:50])
    assert weak.name == "Gaussian filter, σ 0.4 px"  # fine detail, little noise: hardly any blur
    noisy = rows + 0.3 * torch.randn(rows.shape, generator=generator)
    strong = best_filter(noisy, rows)
    errors = {candidate.name: (candidate(noisy) - rows).square().flatten(1).mean(1) for candidate in candidates()}
    assert strong.name == min(errors, key=lambda name: float(errors[name].log10().mean()))
    assert strong.name == "Gaussian filter, σ 2 px"


def test_an_image_that_the_noise_spared_does_not_decide() -> None:
    """A black image stays black under any mask: with infinite PSNR every filter would be the best."""
    clean = torch.cat([torch.zeros(1, 1, 8, 8), IMAGES[:60]])
    noisy = clean + torch.cat(
        [torch.zeros(1, 1, 8, 8), 0.3 * torch.randn(60, 1, 8, 8, generator=torch.Generator().manual_seed(2))]
    )
    assert best_filter(noisy, clean).name == best_filter(noisy[1:], clean[1:]).name


def test_knn_is_scikit_learns() -> None:
    labels = DIGITS.target.astype(np.int64)
    ours = knn_accuracy(FLAT[:500], labels[:500], FLAT[500:700], labels[500:700])
    assert ours == KNeighborsClassifier(5).fit(FLAT[:500], labels[:500]).score(FLAT[500:700], labels[500:700])
    assert 0.8 < ours < 1
    assert knn_accuracy(FLAT[:3], labels[:3], FLAT[:3], labels[:3]) <= 1  # fewer images than neighbours


def test_linear_probe_tells_what_is_linear_and_nothing_else() -> None:
    random = np.random.default_rng(0)
    points = random.normal(size=(400, 2)).astype(np.float32)
    linear, xor = (points[:, 0] > 0).astype(np.int64), (points[:, 0] * points[:, 1] > 0).astype(np.int64)
    assert linear_probe_accuracy(points[:300] * [1, 1e4], linear[:300], points[300:] * [1, 1e4], linear[300:]) > 0.97
    assert linear_probe_accuracy(points[:300], xor[:300], points[300:], xor[300:]) < 0.7
    assert knn_accuracy(points[:300], xor[:300], points[300:], xor[300:]) > 0.9


def test_one_class_is_what_it_is() -> None:
    ones = np.ones(5, dtype=np.int64)
    for classify in (knn_accuracy, linear_probe_accuracy):
        assert classify(FLAT[:5], ones, FLAT[5:9], np.array([1, 1, 0, 1])) == 0.75


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [  # R: prop.test(x, n, correct = FALSE)$conf.int
        (15, 20, 0.5312948, 0.8881383),
        (81, 263, 0.2552703, 0.3662077),
        (0, 20, 0.0, 0.1611252),
        (1, 29, 0.0061127, 0.1717552),
    ],
)
def test_wilson_interval_known_values(successes: int, count: int, low: float, high: float) -> None:
    """The last three are Newcombe's examples (1998, Statistics in Medicine 17, table I, method 3)."""
    assert wilson_interval(successes / count, count) == pytest.approx((low, high), abs=2e-4)


def test_wilson_interval_solves_its_equation_and_stays_a_share() -> None:
    for count in (1, 2, 3, 7, 10, 97, 360, 10_000):
        for successes in {0, 1, count // 2, count - 1, count}:
            share = successes / count
            low, high = wilson_interval(share, count)
            assert 0 <= low <= share <= high <= 1
            for bound in (low, high):  # |p̂ − p| = z √(p (1 − p) / n)
                assert abs(share - bound) == pytest.approx(1.959964 * (bound * (1 - bound) / count) ** 0.5, abs=1e-7)
