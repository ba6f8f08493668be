"""Every strategy: trains what it says, is kept whole, is evaluated; probes are scikit-learn's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from dlkit_builtin.transfer.catalog import STRATEGIES
from dlkit_builtin.transfer.technique import Transfer
from finetune_fakes import runtime, snapshot
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small_transfer import outputs, restored, save_weights, small_data, small_options, trained, with_labels

from dlkit.backbones import Tap
from dlkit.data import ImageData
from dlkit.features import extract
from dlkit.options.values import Duration


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_weights(tmp_path_factory.mktemp("weights") / "test_resnet.safetensors")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    return small_data(tmp_path_factory.mktemp("data") / "small.npz")


def taken(technique: Transfer, data: ImageData) -> tuple[np.ndarray, np.ndarray]:
    """Features of training and test images at the technique's taps."""
    network = technique.network
    found = [
        extract(network.backbone, split, network.taps, runtime(), technique.options)
        for split in (data.train, data.test)
    ]
    train, test = (np.concatenate([each[tap] for tap in network.taps], 1) for each in found)
    return train, test


def test_the_linear_probe_is_scikit_learns_pipeline(weights: Path, data: ImageData, tmp_path: Path) -> None:
    technique = trained(small_options(weights, "linear-probe"), data, tmp_path)
    train, test = taken(technique, data)
    labels = data.train.labels
    assert labels is not None
    references = {}
    for strength in (1e-4, 1e-3, 1e-2, 1e-1, 1.0):
        pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000, tol=1e-6))
        references[strength] = pipeline.fit(train, labels.numpy()).predict_proba(test)
    ours = outputs(technique, data).numpy()
    distance = {strength: np.abs(ours - theirs).max() for strength, theirs in references.items()}
    assert sorted(distance.values())[0] < 1e-3 < sorted(distance.values())[1]  # one of them, the one that was chosen
    chosen = small_options(weights, "linear-probe", probe_c=min(distance, key=distance.__getitem__))
    again = outputs(trained(chosen, data, tmp_path / "again"), data).numpy()
    np.testing.assert_allclose(again, ours, atol=1e-6)


def test_a_stage_of_ones_own(weights: Path, data: ImageData, tmp_path: Path) -> None:
    technique = trained(small_options(weights, "linear-probe", stage="layer2", probe_c=0.1), data, tmp_path)
    assert technique.network.taps == (Tap("layer2"),)
    train, test = taken(technique, data)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    assert data.train.labels is not None
    reference = pipeline.fit(train, data.train.labels.numpy()).predict_proba(test)
    np.testing.assert_allclose(outputs(technique, data).numpy(), reference, atol=1e-3)


@pytest.mark.parametrize("given", [{"class_weights": "balanced"}, {"sampling": "balanced"}])
@pytest.mark.parametrize("strategy", ["linear-probe", "stage-probe"])
def test_a_probe_balances_the_classes(
    strategy: str, given: dict[str, str], weights: Path, data: ImageData, tmp_path: Path
) -> None:
    assert data.train.labels is not None
    rare = with_labels(data, torch.where((data.train.labels == 0) & (torch.arange(60) > 20), -1, data.train.labels))
    assert rare.train.labels is not None
    technique = trained(small_options(weights, strategy, probe_c=0.1, **given), rare, tmp_path)
    train, test = taken(technique, rare)
    known = (rare.train.labels >= 0).numpy()
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000, class_weight="balanced"))
    reference = pipeline.fit(train[known], rare.train.labels.numpy()[known]).predict_proba(test)
    np.testing.assert_allclose(outputs(technique, rare).numpy(), reference, atol=2e-3)


@pytest.mark.parametrize("given", [{"mixup": 0.4}, {"sampling": "balanced"}, {"label_smoothing": 0.2}])
def test_the_mlp_head_heeds_the_options_on_labels(
    given: dict[str, float | str], weights: Path, data: ImageData, tmp_path: Path
) -> None:
    plain, changed = (
        trained(small_options(weights, "mlp-head", **some), data, tmp_path / str(len(some))) for some in ({}, given)
    )
    assert not torch.equal(outputs(plain, data), outputs(changed, data))


@pytest.mark.parametrize("strategy", list(STRATEGIES))
def test_a_strategy_trains_what_it_says_and_is_kept_whole(
    strategy: str, weights: Path, data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Path(shutil.copy(weights, tmp_path / "own.safetensors"))
    technique = trained(small_options(own, strategy), data, tmp_path)
    own.unlink()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    same = restored(technique)
    torch.testing.assert_close(outputs(same, data), outputs(technique, data), rtol=0, atol=1e-6)
    assert outputs(same, data).sum(1).allclose(torch.ones(12))
    torch.testing.assert_close(same.encode(data.test.pixels()), technique.encode(data.test.pixels()))
    ours, theirs = (each.evaluate(data, runtime()) for each in (technique, same))
    assert [row.value for row in ours] == pytest.approx([row.value for row in theirs], rel=1e-4)
    row = theirs.get("accuracy", "test")
    assert "majority class" in row.baselines
    assert row.value == pytest.approx((outputs(same, data).argmax(1) == data.test.labels).float().mean().item())
    assert theirs.get("trainable_parameters", "train").value == technique.trainable > 0


@pytest.mark.parametrize("strategy", ["mlp-head", "finetune-top", "finetune-deep", "lp-ft", "finetune", "gradual"])
def test_the_plan_says_what_training_changes(strategy: str, weights: Path, data: ImageData, tmp_path: Path) -> None:
    """What ``--dry-run`` shows as trainable is what differs afterwards."""
    options = small_options(weights, strategy, batch_norm="frozen")
    technique = Transfer(options, data.spec)
    plan = technique.plan()
    before = snapshot(technique.network.backbone)
    technique = trained(options, data, tmp_path)
    after = snapshot(technique.network.backbone)
    changed = sum(after[name].numel() for name in after if not torch.equal(before[name], after[name]))
    head = sum(parameter.numel() for parameter in technique.network.head.parameters())
    modules = plan[-1].modules.values()
    planned = sum(each.numel() for module in modules for each in module.parameters() if each.requires_grad)
    assert planned == changed + head == technique.trainable
    assert sum(phase.epochs for phase in plan) == (options.head_epochs if strategy == "mlp-head" else options.epochs)


@pytest.mark.parametrize("target", ["multi-label", "number"])
def test_labels_and_numbers(target: str, weights: Path, tmp_path: Path) -> None:
    data = small_data(tmp_path / f"{target}.npz", target)
    for strategy in ("linear-probe", "mlp-head", "finetune-top", "auto"):
        technique = trained(
            small_options(weights, strategy, probe_c=0.1, budget=Duration(1)), data, tmp_path / strategy
        )
        found = outputs(technique, data)
        torch.testing.assert_close(outputs(restored(technique), data), found, rtol=1e-5, atol=1e-5)
        rows = technique.evaluate(data, runtime())
        assert all(np.isfinite(row.value) for row in rows)
        if target == "multi-label":
            assert found.min() >= 0
            assert found.max() <= 1
        else:
            assert data.train.targets is not None
            assert (found.mean() - data.train.targets.mean()).abs() < 250  # in the numbers' own units, 0 to 1000
        if strategy == "linear-probe":
            np.testing.assert_allclose(found.numpy(), reference(technique, data), rtol=1e-3, atol=2e-3)


def reference(technique: Transfer, data: ImageData) -> np.ndarray:
    """scikit-learn's own at C = 0.1."""
    train, test = taken(technique, data)
    assert data.train.targets is not None
    targets = data.train.targets.numpy()
    scaler = StandardScaler().fit(train)
    here, there = scaler.transform(train), scaler.transform(test)
    if data.spec.target == "number":
        return np.asarray(Ridge(alpha=10).fit(here, targets).predict(there)).reshape(len(test), -1)
    columns = [
        LogisticRegression(C=0.1, max_iter=2000).fit(here, column).predict_proba(there)[:, 1] for column in targets.T
    ]
    return np.stack(columns, 1)
