from __future__ import annotations

import copy

import feature_fakes as fakes
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dlkit.backbones import Tap
from dlkit.features import FeatureOptions, engine, extract

UNKEPT = FeatureOptions(cache=False)


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050", "test_vit"])
@pytest.mark.parametrize("fast", [True, False])
def test_features_equal_a_plain_loop(name: str, fast: bool) -> None:
    backbone, split = fakes.named(name), fakes.make_split(11, 160 if name == "test_vit" else 64)
    taps, before = fakes.all_taps(backbone), copy.deepcopy(backbone.state_dict())
    expected = fakes.plain_loop(backbone, split, taps)
    runtime, display = fakes.make_runtime()
    found = extract(backbone, split, taps, runtime, FeatureOptions(cache=False, fast=fast, feature_precision="fp32"))
    for tap in taps:
        assert found[tap].dtype == np.float32
        np.testing.assert_allclose(found[tap], expected[tap], rtol=1e-3, atol=1e-4 * abs(expected[tap]).max())
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
    assert ("as it is, fp32" in display.told[0]) is not fast


def test_pooling_and_repeated_taps() -> None:
    backbone, split = fakes.named("resnet10t"), fakes.make_split(5, 64)
    taps = [Tap("layer4", "flat"), Tap("layer2", "max"), Tap("layer2", "max")]
    expected = fakes.plain_loop(backbone, split, taps)
    found = extract(backbone, split, taps, fakes.make_runtime()[0], UNKEPT)
    assert list(found) == taps[:2]
    for tap in found:
        np.testing.assert_allclose(found[tap], expected[tap], rtol=1e-3, atol=1e-4 * abs(expected[tap]).max())


def test_no_images_give_no_features() -> None:
    split = fakes.make_split(3).subset(torch.zeros(0, dtype=torch.int64))
    found = extract(fakes.named("resnet10t"), split, [Tap("top")], fakes.make_runtime()[0])
    assert found[Tap("top")].shape == (0, 512)


class Rounding(nn.Module):
    """A network that goes wrong in bf16, for some images only."""

    def forward(self, x: Tensor) -> Tensor:
        means = x.float().mean((2, 3))
        if x.dtype is torch.bfloat16:
            means[-1] = means[-1].flip(0) - 3
        return means


@pytest.fixture
def bf16_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "has_bf16", lambda _: True)


def test_bf16_is_used_where_it_agrees_and_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, bf16_machine: None
) -> None:
    backbone, split, taps = fakes.named("resnet10t"), fakes.make_split(70), [Tap("top")]
    runtime, display = fakes.make_runtime()
    found = extract(backbone, split, taps, runtime, UNKEPT)[taps[0]]
    assert "batch norm folded, bf16 (cosine to fp32 0.99" in display.told[0]
    expected = fakes.plain_loop(backbone, split, taps)[taps[0]]
    cosine = (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
    assert 0.999 <= cosine.min() < 1
    assert not np.array_equal(found, expected)

    few = fakes.make_split(20)
    runtime, display = fakes.make_runtime()
    extract(backbone, few, taps, runtime, UNKEPT)
    assert "bf16" not in display.told[0]  # too few for the check to pay

    monkeypatch.setattr(engine, "has_bf16", lambda _: False)
    runtime, display = fakes.make_runtime()
    extract(backbone, split, taps, runtime, UNKEPT)
    assert "bf16" not in display.told[0]


def test_bf16_that_differs_for_one_image_is_refused_and_said(bf16_machine: None) -> None:
    backbone, split, taps = fakes.wrapped(Rounding(), [], 3), fakes.make_split(80), [Tap("top")]
    runtime, display = fakes.make_runtime()
    found = extract(backbone, split, taps, runtime, UNKEPT)[taps[0]]
    assert "fp32 (bf16 would differ: cosine " in display.told[0]
    np.testing.assert_allclose(found, fakes.plain_loop(backbone, split, taps)[taps[0]], rtol=1e-4, atol=1e-5)
    runtime, display = fakes.make_runtime()
    extract(backbone, split, taps, runtime, FeatureOptions(cache=False, feature_precision="bf16"))
    assert "bf16 as asked for" in display.told[0]


def test_a_network_that_cannot_bf16_falls_back(bf16_machine: None) -> None:
    class Fp32Only(Rounding):
        def forward(self, x: Tensor) -> Tensor:
            if x.dtype is torch.bfloat16:
                raise RuntimeError('"thing" not implemented for BFloat16')
            return super().forward(x)

    runtime, display = fakes.make_runtime()
    extract(fakes.wrapped(Fp32Only(), [], 3), fakes.make_split(80), [Tap("top")], runtime, UNKEPT)
    assert 'fp32 (bf16 fails: "thing" not implemented' in display.told[0]


def test_folding_that_changes_features_is_undone_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(private: nn.Module, _: Tensor) -> int:
        with torch.no_grad():
            next(private.parameters()).mul_(1.5)
        return 1

    monkeypatch.setattr(engine, "fold_batch_norm", wrong)
    backbone, split, taps = fakes.named("resnet10t"), fakes.make_split(6), [Tap("layer1"), Tap("top")]
    runtime, display = fakes.make_runtime()
    found = extract(backbone, split, taps, runtime, UNKEPT)
    assert "batch norm not folded" in display.told[0]
    assert "features would change" in display.warned[0]
    for tap, values in fakes.plain_loop(backbone, split, taps).items():
        np.testing.assert_allclose(found[tap], values, rtol=1e-3, atol=1e-4 * abs(values).max())


def test_changed_weights_are_seen_by_the_same_runtime() -> None:
    backbone, split, taps = fakes.named("resnet10t"), fakes.make_split(6), [Tap("top")]
    runtime, _ = fakes.make_runtime()
    before = extract(backbone, split, taps, runtime, UNKEPT)[taps[0]]
    with torch.no_grad():
        next(backbone.parameters()).mul_(-1)
    after = extract(backbone, split, taps, runtime, UNKEPT)[taps[0]]
    assert not np.allclose(before, after)
    np.testing.assert_allclose(after, fakes.plain_loop(backbone, split, taps)[taps[0]], rtol=1e-3, atol=1e-4)


def test_compiled_batches_have_one_size_and_trouble_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def fake_compile(function, **_):  # type: ignore[no-untyped-def]
        return lambda images: (sizes.append(len(images)), function(images))[1]

    monkeypatch.setattr(torch, "compile", fake_compile)
    backbone, split, taps = fakes.named("resnet10t"), fakes.make_split(10, 224), [Tap("top")]
    runtime, display = fakes.make_runtime(compile=True)
    found = extract(backbone, split, taps, runtime, UNKEPT)[taps[0]]
    assert set(sizes) == {8}
    assert "fp32, compiled" in display.told[0]
    np.testing.assert_allclose(found, fakes.plain_loop(backbone, split, taps)[taps[0]], rtol=1e-3, atol=1e-4)

    def broken(*_: object, **__: object) -> object:
        def call(_: Tensor) -> list[Tensor]:
            raise RuntimeError("no C++ compiler")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    runtime, display = fakes.make_runtime(compile=True)
    extract(backbone, split, taps, runtime, UNKEPT)
    assert display.warned == ["Features are computed without compiling: no C++ compiler"]


def test_precision_without_speed_is_a_contradiction() -> None:
    with pytest.raises(ValueError, match="--no-fast computes in fp32"):
        FeatureOptions(fast=False, feature_precision="bf16")
