"""The published protocol: torch-fidelity's network and distances are the oracle. Its weights are random here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dlkit.errors import DataError, UsageError
from dlkit.judging import JudgeOptions
from dlkit.judging.distances import frechet, kernel_distance
from dlkit.judging.inception import inception

fid = pytest.importorskip("torch_fidelity.metric_fid")
kid = pytest.importorskip("torch_fidelity.metric_kid")


def features(count: int, size: int, seed: int) -> np.ndarray:
    """Not negative, mostly small, correlated, as a network's are after ReLU and pooling."""
    random = np.random.default_rng(seed)
    mix = np.random.default_rng(1).normal(size=(size, size)) / np.sqrt(size)
    return np.maximum(random.normal(0.1 * seed, 1, (count, size)) @ mix, 0) + 0.05 * random.random((count, size))


@pytest.mark.parametrize(("count", "size"), [(600, 40), (60, 200)], ids=["many images", "fewer images than features"])
def test_frechet_is_that_of_torch_fidelity(count: int, size: int) -> None:
    first, second = features(count, size, 0), features(count + 20, size, 1)
    statistics = [fid.fid_features_to_statistics(torch.from_numpy(each)) for each in (first, second)]
    expected = fid.fid_statistics_to_metric(*statistics, False)[fid.KEY_METRIC_FID]
    assert frechet(first, second) == pytest.approx(expected, rel=1e-3)
    assert frechet(first, second) == pytest.approx(expected, rel=1e-6 if count > size else 1e-3)


def test_the_kernel_distance_is_that_of_torch_fidelity() -> None:
    first, second = features(80, 30, 0), features(80, 30, 1)
    given = {
        "kid_kernel": "poly",
        "kid_kernel_poly_degree": 3,
        "kid_kernel_poly_gamma": None,
        "kid_kernel_poly_coef0": 1,
    }
    expected = kid.kernel_mmd(first, second, **given)
    assert kernel_distance(first, second) == pytest.approx(expected, rel=1e-9)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """torch-fidelity's network with random weights, and its weights as safetensors."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Random(FeatureExtractorInceptionV3):  # type: ignore[misc]
        def load_state_dict(self, *_: Any, **__: Any) -> None:
            pass

    folder = tmp_path_factory.mktemp("inception")
    torch.save({}, folder / "none.pth")
    torch.manual_seed(0)
    network = Random("inception", ["2048"], feature_extractor_weights_path=str(folder / "none.pth"))
    save_file(network.state_dict(), folder / "weights.safetensors")
    return network, folder / "weights.safetensors"


def test_features_are_those_of_torch_fidelity(weights: tuple[Any, Path]) -> None:
    reference, path = weights
    network, digest = inception(path)
    images = torch.rand(1, 1, 9, 12)
    (expected,) = reference((255 * images).round().to(torch.uint8).repeat(1, 3, 1, 1))
    with torch.no_grad():
        torch.testing.assert_close(network(images), expected)
    assert expected.shape == (1, 2048)
    assert len(digest) == 12


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs the network's weights"):
        inception(None)
    with pytest.raises(DataError, match="Cannot read"):
        inception(tmp_path / "nowhere.pth")
    (tmp_path / "bad.pth").write_bytes(b"nothing")
    with pytest.raises(DataError, match="is not a file of tensors"):
        inception(tmp_path / "bad.pth")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(DataError, match="does not hold the weights"):
        inception(tmp_path / "other.safetensors")


def test_pickled_code_is_not_executed(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "harmed",)

    torch.save({"a": Harm()}, tmp_path / "harm.pth")
    with pytest.raises(DataError):
        inception(tmp_path / "harm.pth")
    assert not (tmp_path / "harmed").exists()


def test_the_weights_are_asked_for_before_training() -> None:
    with pytest.raises(ValueError, match="needs --inception-weights FILE"):
        JudgeOptions(features="inception")
