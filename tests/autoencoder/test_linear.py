"""The linear autoencoder is PCA (Baldi and Hornik 1989): the same error, the same subspace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dlkit_builtin.autoencoder.code_figures import drawn_by, principal_angle
from dlkit_builtin.autoencoder.options import AutoencoderOptions
from dlkit_builtin.autoencoder.technique import Autoencoder
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA
from small_autoencoders import new_run, runtime, small, spec

from dlkit.data import load_data
from dlkit.options import DataOptions
from dlkit.options.values import Schedule

LINEAR: dict[str, Any] = {"layers": (0,), "output": "linear"}


@pytest.mark.parametrize("normalize", ["none", "mean-image"])
def test_it_is_pca_on_digits(normalize: Any, tmp_path: Path) -> None:
    data = load_data(DataOptions(data="digits", normalize=normalize))
    chosen = AutoencoderOptions(
        **LINEAR, code=4, tied=True, epochs=40, batch_size=64, lr=0.03, schedule=Schedule("cosine")
    )
    torch.manual_seed(0)
    technique, ours = Autoencoder(chosen, data.spec), runtime()
    technique.train(data, ours, new_run(tmp_path))
    train, test = (split.pixels().flatten(1).numpy() for split in (data.train, data.test))
    pca = PCA(4).fit(train)
    with torch.no_grad():
        made = technique.network(data.test.pixels())[0]
        linear = technique.network.normalize.inverse(made).flatten(1).numpy()
    error, least = (np.square(each - test).sum() for each in (linear, pca.inverse_transform(pca.transform(test))))
    assert error < 1.01 * least
    angles = np.degrees(subspace_angles(drawn_by(technique).numpy(), pca.components_.T))
    assert angles[0] < 5

    metrics = technique.evaluate(data, ours)
    assert metrics.get("pca_excess", "test").value == pytest.approx(100 * (error / least - 1), abs=0.02)
    assert metrics.get("pca_angle", "train").value == pytest.approx(angles[0], abs=0.1)
    assert metrics.get("pca_angle", "train").baselines["before training"] > 45
    assert [picture.name for picture in technique.pictures(data, ours)] == [
        "reconstructions", "filters", "code-activations", "code-units", "code-space", "worst"
    ]  # fmt: skip


def test_what_is_linear() -> None:
    assert small(**LINEAR).linear
    assert small(layers=(), output="linear", tied=True).linear
    for other in ({"output": "auto"}, {"layers": (3,)}, {"code_activation": "tanh"}, {"contractive": 0.1}):
        assert not small(**LINEAR | other).linear, other


def test_a_linear_output_is_not_squashed_but_an_image_still() -> None:
    technique = small(**LINEAR)
    images = torch.rand(50, 1, 8, 8)
    raw, _ = technique.network(images)
    assert raw.min() < 0
    torch.testing.assert_close(technique.reconstruct(images), raw.clamp(0, 1))
    torch.testing.assert_close(technique.reconstruction_loss(images, images), (raw - images).square().mean())


def test_principal_angles() -> None:
    axes = torch.eye(4)
    assert principal_angle(axes[:, :2], axes[:, :2] @ torch.tensor([[1.0, 2.0], [0.0, 3.0]])) == pytest.approx(
        0, abs=1e-4
    )
    assert principal_angle(axes[:, :2], axes[:, 1:3]) == pytest.approx(90)
    turned = torch.tensor([[1.0], [1.0], [0.0], [0.0]])
    assert principal_angle(axes[:, :1], turned) == pytest.approx(45)


def test_layers_0_is_no_layer() -> None:
    for layers in ((0,), ()):
        network = Autoencoder(AutoencoderOptions(layers=layers, code=3), spec()).network
        assert [tuple(p.shape) for p in network.parameters()] == [(3, 64), (3,), (64, 3), (64,)]
