"""The figures, beside the same computed with NumPy, scikit-learn and scikit-image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dlkit_builtin.autoencoder import evaluation
from dlkit_builtin.autoencoder.corruption import corrupt
from dlkit_builtin.autoencoder.noise import Noise
from dlkit_builtin.autoencoder.options import AutoencoderOptions
from dlkit_builtin.autoencoder.pictures import pictures
from dlkit_builtin.autoencoder.technique import Autoencoder
from scipy.ndimage import gaussian_filter, median_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from dlkit.baselines import limits
from dlkit.data import ImageData, load_data
from dlkit.metrics import Metrics
from dlkit.options import DataOptions, RuntimeOptions
from dlkit.runtime import Runtime

NOISE = Noise.parse("gaussian:0.3")


def load(path: Path, **options: Any) -> ImageData:
    return load_data(DataOptions(data=str(path), **options))


def make(data: ImageData, **given: Any) -> tuple[Autoencoder, Runtime]:
    runtime = Runtime(RuntimeOptions(device="cpu", threads=1))
    chosen: dict[str, Any] = {"layers": (12,), "code": 4, "denoise": NOISE}
    return Autoencoder(AutoencoderOptions(**chosen | given), data.spec), runtime


def names(metrics: Metrics) -> set[tuple[str, str]]:
    return {(row.name, row.split) for row in metrics}


QUALITY = ("psnr", "ssim", "mse", "squared_error")
CODE = ("knn_accuracy", "linear_probe_accuracy")


def test_figures_and_baselines_are_what_the_libraries_say(shapes_npz: Path) -> None:
    data = load(shapes_npz)
    technique, runtime = make(data)
    metrics = technique.evaluate(data, runtime)
    assert names(metrics) == {(n, s) for n in QUALITY for s in ("train", "test")} | {(n, "test") for n in CODE}

    clean = data.test.pixels()
    noisy = corrupt(clean, NOISE, runtime.generator("evaluation noise", "test"))
    train = data.train.pixels()
    train_noisy = corrupt(train, NOISE, runtime.generator("evaluation noise", "train"))
    pca = PCA(4, random_state=0).fit(train.flatten(1).numpy())
    restored = {
        "": technique.reconstruct(noisy).detach().numpy(),
        "corrupted input": noisy.numpy(),
        "PCA, 4 components": pca.inverse_transform(pca.transform(noisy.flatten(1).numpy())).reshape(clean.shape),
    }
    [filter_name] = set(metrics.get("psnr", "test").baselines) - set(restored)
    kind, _, width = filter_name.partition(" filter, ")
    size = float(width.strip("σ px").split(" ")[0])
    function: Any = gaussian_filter if kind == "Gaussian" else lambda image, width: median_filter(image, int(width))

    def mean_psnr(images: np.ndarray, targets: np.ndarray) -> float:
        return float(
            np.mean([peak_signal_noise_ratio(t, i, data_range=1) for i, t in zip(images, targets, strict=True)])
        )

    def filtered(images: np.ndarray, function: Any, width: float) -> np.ndarray:
        return np.stack([function(image[0], width)[None] for image in images]).clip(0, 1)

    restored[filter_name] = filtered(noisy.numpy(), function, size)
    widths = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.2)
    rivals = [filtered(train_noisy.numpy(), gaussian_filter, sigma) for sigma in widths]
    rivals += [filtered(train_noisy.numpy(), median_filter, side) for side in (2, 3)]
    assert metrics.get("psnr", "train").baselines[filter_name] == pytest.approx(
        max(mean_psnr(rival, train.numpy()) for rival in rivals), abs=1e-3
    )

    targets = clean.numpy()
    for name, images in restored.items():
        squares = (images.astype(np.float64) - targets) ** 2
        expected = {
            "psnr": mean_psnr(images, targets),
            "ssim": np.mean(
                [structural_similarity(i[0], t[0], data_range=1) for i, t in zip(images, targets, strict=True)]
            ),
            "mse": squares.mean(),
            "squared_error": squares.sum((1, 2, 3)).mean(),
        }
        for figure, value in expected.items():
            metric = metrics.get(figure, "test")
            ours = metric.baselines[name] if name else metric.value
            assert ours == pytest.approx(value, rel=1e-4), (figure, name)
    psnr = metrics.get("psnr", "test")
    assert psnr.interval is not None
    assert psnr.interval[0] < psnr.value < psnr.interval[1]
    assert "16 images" in psnr.note
    assert "gaussian:0.3" in psnr.note


def test_code_accuracy_is_scikit_learns(shapes_npz: Path) -> None:
    data = load(shapes_npz)
    technique, runtime = make(data)
    metrics = technique.evaluate(data, runtime)
    train, test = technique.encode(data.train.pixels()).detach().numpy(), technique.encode(data.test.pixels()).detach()
    labels, test_labels = (split.labels.numpy() for split in (data.train, data.test) if split.labels is not None)
    raw, raw_test = data.train.pixels().flatten(1).numpy(), data.test.pixels().flatten(1).numpy()
    knn, probe = metrics.get("knn_accuracy", "test"), metrics.get("linear_probe_accuracy", "test")
    assert knn.value == KNeighborsClassifier(5).fit(train, labels).score(test.numpy(), test_labels)
    assert knn.baselines["raw pixels"] == KNeighborsClassifier(5).fit(raw, labels).score(raw_test, test_labels)
    scaler = StandardScaler().fit(raw)
    linear = LogisticRegression(max_iter=200).fit(scaler.transform(raw), labels)
    assert probe.baselines["raw pixels"] == linear.score(scaler.transform(raw_test), test_labels)
    assert probe.baselines["majority class"] == pytest.approx((test_labels == 0).mean())
    assert knn.interval is not None
    assert knn.interval[0] <= knn.value <= knn.interval[1]


def test_evaluation_repeats_and_streaming_changes_nothing(shapes_npz: Path) -> None:
    data, streamed = load(shapes_npz), load(shapes_npz, in_memory="no")
    assert data.train.in_memory
    assert not streamed.train.in_memory
    technique, runtime = make(data)
    first = technique.evaluate(data, runtime)
    assert technique.evaluate(data, runtime) == first
    assert technique.evaluate(streamed, Runtime(RuntimeOptions(device="cpu", threads=1))) == first
    other = technique.evaluate(data, Runtime(RuntimeOptions(device="cpu", threads=1, seed=1)))
    assert other != first


def save(path: Path, shapes_npz: Path, **changes: Any) -> Path:
    with np.load(shapes_npz) as archive:
        arrays = {name: archive[name] for name in archive.files} | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def test_without_labels_the_code_has_no_accuracy(shapes_npz: Path, tmp_path: Path) -> None:
    data = load(save(tmp_path / "x.npz", shapes_npz, labels=None, classes=None))
    technique, runtime = make(data)
    assert names(technique.evaluate(data, runtime)) == {(n, s) for n in QUALITY for s in ("train", "test")}
    found = pictures(technique, data, runtime)
    assert [picture.name for picture in found] == ["reconstructions", "filters", "code-space", "worst"]


def test_some_labels_are_enough(shapes_npz: Path, tmp_path: Path) -> None:
    labels = np.arange(96) % 3
    labels[20:64] = -1
    data = load(save(tmp_path / "x.npz", shapes_npz, labels=labels))
    technique, runtime = make(data)
    assert "fitted on 20 labelled" in technique.evaluate(data, runtime).get("knn_accuracy", "test").note


def test_without_a_test_split_val_is_held_out(shapes_npz: Path, tmp_path: Path) -> None:
    path = save(tmp_path / "x.npz", shapes_npz, split=np.repeat(["train", "val"], [80, 16]))
    data = load(path, test_fraction=0.0)
    technique, runtime = make(data, denoise=None)
    metrics = technique.evaluate(data, runtime)
    assert {split for _, split in names(metrics)} == {"train", "val"}
    assert ("knn_accuracy", "val") in names(metrics)
    assert set(metrics.get("psnr", "val").baselines) == {"PCA, 4 components"}


def test_with_a_train_split_only_that_is_evaluated(shapes_npz: Path, tmp_path: Path) -> None:
    data = load(save(tmp_path / "x.npz", shapes_npz, split=None), test_fraction=0.0, val_fraction=0.0)
    technique, runtime = make(data)
    assert names(technique.evaluate(data, runtime)) == {(n, "train") for n in QUALITY}


def test_where_nothing_can_be_said_nothing_is_said(tmp_path: Path) -> None:
    """SSIM needs a window of 3 × 3; an image of one row has none."""
    images = np.random.default_rng(0).integers(0, 255, (40, 1, 7)).astype(np.uint8)
    np.savez(tmp_path / "rows.npz", images=images)
    data = load(tmp_path / "rows.npz")
    technique, runtime = make(data)
    metrics = technique.evaluate(data, runtime)
    assert names(metrics) == {(n, s) for n in ("psnr", "mse", "squared_error") for s in ("train", "test")}


def test_large_images_are_evaluated_in_smaller_number(shapes_npz: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """10,000 photographs would not fit into memory as float32, four times over."""
    data = load(shapes_npz)
    technique, runtime = make(data)
    monkeypatch.setattr(limits, "VALUES", 20 * 64)
    metrics = technique.evaluate(data, runtime)
    assert metrics.get("mse", "train").note.startswith("mean over 20 images")
    assert metrics.get("mse", "test").note.startswith("mean over 16 images")
    shown = evaluation.sample(technique, data.train, runtime)
    same = (shown.images[:, None] == data.train.pixels()).flatten(2).all(2)  # (20, N)
    positions = same.int().argmax(1).tolist()
    assert same.any(1).all()
    assert positions == sorted(set(positions))


@pytest.mark.parametrize("mode", ["channel", "mean-image", "standardize"])
def test_a_standardised_model_is_compared_in_pixels(shapes_npz: Path, mode: Any) -> None:
    data = load(shapes_npz, normalize=mode)
    technique, runtime = make(data, denoise=None)
    reconstruction = technique.reconstruct(data.test.pixels())
    assert reconstruction.min() >= 0
    assert reconstruction.max() <= 1
    mse = (reconstruction - data.test.pixels()).double().square().mean().item()
    assert technique.evaluate(data, runtime).get("mse", "test").value == pytest.approx(mse, rel=1e-5)


def test_the_worst_picture_shows_the_worst(shapes_npz: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dlkit.report import plots

    data = load(shapes_npz)
    technique, runtime = make(data)
    rows: list[list[torch.Tensor]] = []
    real = plots.image_grid
    monkeypatch.setattr(plots, "image_grid", lambda images, titles: rows.append(images) or real(images, titles))
    assert len(list(pictures(technique, data, runtime))) == 4
    assert len(rows) == 2
    corrupted, output, target, difference = rows[1]
    errors = (output - target).square().flatten(1).mean(1)
    assert torch.equal(errors, errors.sort(descending=True).values)
    assert torch.equal(difference, (output - target).abs())
    assert corrupted.min() >= 0
    everything = evaluation.sample(technique, data.test, runtime)
    worst = (everything.reconstructions - everything.images).square().flatten(1).mean(1).max()
    torch.testing.assert_close(errors[0], worst)


@pytest.mark.parametrize(("code", "images"), [(1, 9), (3, 1)])
def test_codes_that_span_no_plane_are_drawn_too(code: int, images: int, shapes_npz: Path, tmp_path: Path) -> None:
    with np.load(shapes_npz) as arrays:
        path = tmp_path / "few.npz"
        np.savez(path, images=arrays["images"][:images], labels=arrays["labels"][:images])
    data = load(path, test_fraction=0.0, val_fraction=0.0)
    technique, runtime = make(data, code=code)
    assert "code-space" in [picture.name for picture in pictures(technique, data, runtime)]
