"""Fits and torch modules beside scikit-learn's own estimators on the same images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from dlkit_builtin.decomposition.fitting import RankError, Task, fit, takes_batches
from dlkit_builtin.decomposition.models import Model, Pursuit, build, steps_needed
from dlkit_builtin.decomposition.rows import TrainingRows
from scipy.optimize import nnls
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF, PCA, FastICA, MiniBatchDictionaryLearning, TruncatedSVD, sparse_encode

from dlkit.baselines import PCABaseline
from dlkit.data.data import Resident, Split
from dlkit.data.spec import Normalization
from dlkit.options import RuntimeOptions
from dlkit.runtime import Normalize, Runtime

K = 6


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    """300 digits of 8 × 8."""
    from sklearn.datasets import load_digits

    return torch.from_numpy(load_digits().images[:300, None] / 16).float()


@pytest.fixture(scope="module")
def flat(images: torch.Tensor) -> np.ndarray:
    return images.flatten(1).double().numpy()


def rows(images: torch.Tensor) -> TrainingRows:
    runtime = Runtime(RuntimeOptions(device="cpu", threads=1))
    return TrainingRows(Split("train", Resident(images), None, None), Normalize(Normalization()), runtime)


def fitted(images: torch.Tensor, method: str, code: int = K, *, batches: bool = False, **given: Any) -> Model:
    task = Task(method, code, given.get("alpha", 0.1), given.get("iterations", 400), 0)
    found = fit(rows(images), task, batches=batches)
    model = build(method, code, images[0].numel(), task.alpha)
    for name, values in found.arrays.items():
        model.get_buffer(name).copy_(torch.from_numpy(np.ascontiguousarray(values)))
    if isinstance(model, Pursuit):
        model.prepare()
        assert steps_needed(model, images.flatten(1)[:100])
    return model


def same_up_to_sign(one: np.ndarray, other: np.ndarray, tolerance: float = 1e-4) -> None:
    signs = np.sign((one * other).sum(1, keepdims=True))
    np.testing.assert_allclose(one * signs, other, atol=tolerance)


def test_pca(images: torch.Tensor, flat: np.ndarray) -> None:
    model, theirs = fitted(images, "pca"), PCA(K, svd_solver="full").fit(flat)
    same_up_to_sign(model.atoms.numpy(), theirs.components_)
    code = model.encode(images.flatten(1))
    same_up_to_sign(code.numpy().T, theirs.transform(flat).T)
    back = theirs.inverse_transform(theirs.transform(flat))
    np.testing.assert_allclose(model.decode(code).numpy(), back, atol=1e-5)
    np.testing.assert_allclose(back, PCABaseline(images, K).reconstruct(images).flatten(1), atol=1e-4)


@pytest.mark.parametrize("code", [K, 64])
def test_svd(images: torch.Tensor, flat: np.ndarray, code: int) -> None:
    model = fitted(images, "svd", code)
    left, values, right = np.linalg.svd(flat, full_matrices=False)
    best = (left[:, :code] * values[:code]) @ right[:code]
    np.testing.assert_allclose(model.decode(model.encode(images.flatten(1))).numpy(), best, atol=1e-4)
    if code == K:
        theirs = TruncatedSVD(K, algorithm="arpack", random_state=0).fit(flat)
        same_up_to_sign(model.atoms.numpy(), theirs.components_)
    few = fitted(images[:40], "svd", 5)  # fewer images than values
    right = np.linalg.svd(flat[:40], full_matrices=False)[2]
    same_up_to_sign(few.atoms.numpy(), right[:5])


@pytest.mark.parametrize("method", ["pca", "svd"])
def test_in_batches_it_is_nearly_the_same(images: torch.Tensor, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlkit_builtin.decomposition.rows.LEAST", 10)
    monkeypatch.setattr("dlkit_builtin.decomposition.rows.BATCH_VALUES", 64)
    whole, parts = fitted(images, method), fitted(images, method, batches=True)
    assert rows(images).large_batch(2 * (K + 32)) == 76  # four batches
    pixels = images.flatten(1)
    missed = [float((model.decode(model.encode(pixels)) - pixels).square().sum()) for model in (whole, parts)]
    assert missed[0] <= missed[1] * (1 + 1e-6)
    assert missed[1] <= missed[0] * 1.001
    overlap = torch.linalg.svdvals(whole.atoms @ parts.atoms.T)  # cosines of the angles between the subspaces
    assert float(overlap.min()) > 0.999


def independent(count: int = 3000) -> tuple[np.ndarray, torch.Tensor]:
    """Three Laplace sources mixed into nine pixels."""
    random = np.random.default_rng(0)
    sources = random.laplace(size=(count, 3))
    mixed = sources @ random.normal(size=(3, 9)) + 0.01 * random.normal(size=(count, 9))
    return sources, torch.from_numpy(mixed).float().view(-1, 1, 3, 3)


@pytest.mark.parametrize("batches", [False, True])
def test_ica_finds_sources_as_scikit_learn_does(batches: bool) -> None:
    sources, mixed = independent()
    model = fitted(mixed, "ica", 3, batches=batches)
    code = model.encode(mixed.flatten(1))
    likeness = np.abs(np.corrcoef(code.numpy().T, sources.T)[:3, 3:])
    assert sorted(likeness.argmax(0)) == [0, 1, 2]
    assert likeness.max(0).min() > 0.99
    theirs = FastICA(3, whiten="unit-variance", max_iter=400, random_state=0).fit(mixed.flatten(1).double().numpy())
    other = theirs.transform(mixed.flatten(1).double().numpy())
    assert np.abs(np.corrcoef(code.numpy().T, other.T)[:3, 3:]).max(0).min() > 0.9999
    assert code.std(0).numpy() == pytest.approx(1, abs=2e-3)
    back = theirs.inverse_transform(other)
    np.testing.assert_allclose(model.decode(code).numpy(), back, atol=2e-3)


def test_ica_of_more_components_than_there_are(images: torch.Tensor) -> None:
    flat = torch.cat([images[:50], images[:50]])[:, :, :3, :3]
    rank = int(np.linalg.matrix_rank(flat.flatten(1).double().numpy() - flat.flatten(1).double().numpy().mean(0)))
    with pytest.raises(RankError, match=str(rank)):  # some pixels are always black
        fitted(flat, "ica", 9)


def test_nmf(images: torch.Tensor, flat: np.ndarray) -> None:
    model = fitted(images, "nmf")
    theirs = NMF(K, init="nndsvda", max_iter=400, random_state=0).fit(flat.astype(np.float32))
    lengths = np.linalg.norm(theirs.components_, axis=1)
    np.testing.assert_allclose(model.atoms.numpy(), theirs.components_ / lengths[:, None], atol=1e-5)
    code = model.encode(images.flatten(1)).numpy()
    exact = np.stack([nnls(model.atoms.double().numpy().T, row)[0] for row in flat[:60]])
    np.testing.assert_allclose(code[:60], exact, atol=1e-4)
    theirs.set_params(tol=1e-8, max_iter=5000)
    np.testing.assert_allclose(code, theirs.transform(flat.astype(np.float32)) * lengths, atol=2e-3)
    assert code.min() == 0


def test_kmeans(images: torch.Tensor, flat: np.ndarray) -> None:
    model = fitted(images, "kmeans")
    theirs = KMeans(K, n_init=10, random_state=0).fit(flat.astype(np.float32))
    np.testing.assert_allclose(model.atoms.numpy(), theirs.cluster_centers_, atol=1e-6)
    code = model.encode(images.flatten(1))
    np.testing.assert_allclose(code.numpy(), theirs.transform(flat.astype(np.float32)), atol=1e-5)
    nearest = theirs.cluster_centers_[theirs.predict(flat.astype(np.float32))]
    np.testing.assert_allclose(model.decode(code).numpy(), nearest, atol=1e-6)


def test_the_distance_of_an_image_that_is_a_centre_is_zero(images: torch.Tensor) -> None:
    model = build("kmeans", 3, 64, 0.0)
    model.atoms.copy_(images[:3].flatten(1))
    assert model.encode(images[:3].flatten(1)).diagonal().tolist() == [0, 0, 0]


def test_sparse_coding(images: torch.Tensor, flat: np.ndarray) -> None:
    model = fitted(images, "sparse", 12, batches=True, iterations=1)
    centred = flat - flat.mean(0)
    exact = sparse_encode(centred, model.atoms.double().numpy(), algorithm="lasso_cd", alpha=0.1, max_iter=5000)
    code = model.encode(images.flatten(1)).numpy()
    np.testing.assert_allclose(code, exact, atol=1e-4)
    assert 0.05 < (code == 0).mean() < 0.95
    np.testing.assert_allclose(model.decode(torch.from_numpy(code)).numpy(), exact @ model.atoms.numpy() + flat.mean(0),
                               atol=1e-3)  # fmt: skip


def test_the_dictionary_is_as_good_as_scikit_learns(images: torch.Tensor, flat: np.ndarray) -> None:
    model = fitted(images, "sparse", 12, batches=True, iterations=3)
    centred = flat - flat.mean(0)
    theirs = MiniBatchDictionaryLearning(12, alpha=0.1, batch_size=256, max_iter=3, fit_algorithm="cd", random_state=0)
    losses = []
    for atoms in (model.atoms.double().numpy(), theirs.fit(centred).components_):
        code = sparse_encode(centred, atoms, algorithm="lasso_cd", alpha=0.1)
        losses.append(0.5 * np.square(centred - code @ atoms).sum(1).mean() + 0.1 * np.abs(code).sum(1).mean())
    assert losses[0] < 1.1 * losses[1]


@pytest.mark.parametrize("method", ["nmf", "kmeans"])
def test_mini_batches_come_close(images: torch.Tensor, method: str) -> None:
    pixels = images.flatten(1)
    models = fitted(images, method), fitted(images, method, batches=True, iterations=100)
    missed = [float((model.decode(model.encode(pixels)) - pixels).square().sum()) for model in models]
    assert missed[1] < 1.15 * missed[0]


def test_when_batches_are_taken(images: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    few = rows(images)
    assert not takes_batches(few, "pca", "auto")
    assert takes_batches(few, "pca", "batches")
    assert takes_batches(few, "sparse", "auto")
    assert not takes_batches(few, "sparse", "whole")
    monkeypatch.setitem(takes_batches.__globals__["WHOLE"], "pca", 1000)
    assert takes_batches(few, "pca", "auto")
