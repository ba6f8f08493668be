"""Augmentation in training: each sample's own draws, targets that go along, copies that are known by themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlkit.augment import Policy
from dlkit.augment.training import Augmentation, sample_ids, with_copies
from dlkit.data import ImageData, Split
from dlkit.data.data import Resident
from dlkit.data.spec import DataSpec
from dlkit.options import RuntimeOptions, TrainOptions
from dlkit.probes.folds import folds
from dlkit.probes.targets import targets_of
from dlkit.run.scratch import Scratch
from dlkit.runtime import Batch, Runtime
from dlkit.supervised.objective import objective
from dlkit.supervised.options import SupervisedOptions

POLICY = Policy.parse("rotate:20 flip noise:gaussian:0.05@0.5")
SPEC = DataSpec(source="x", name="x", channels=1, height=8, width=8, classes=("a", "b", "c"))


def split(count: int = 23, augmentation: Augmentation | None = None, resident: bool = True) -> Split:
    raw = torch.randint(0, 256, (count, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    pixels: Any = Resident(raw)
    if not resident:
        pixels = type("Read", (), {"__len__": lambda _: count, "raw": lambda _, i: raw if i is None else raw[i]})()
    digests = np.random.default_rng(0).integers(0, 256, (count, 32)).astype(np.uint8)
    return Split("train", pixels, torch.arange(count) % 3, None, digests, augmentation=augmentation)


def seen(
    path: Path, size: int, *, seed: int = 1, weights: Tensor | None = None, workers: int = 1, resident: bool = True
) -> dict[int, list[Tensor]]:
    """Image → what training saw of it, epoch by epoch."""
    runtime = Runtime(RuntimeOptions(device="cpu", threads=1, seed=seed, workers=workers))
    found: dict[int, list[Tensor]] = {}

    def step(batch: Batch) -> dict[str, Tensor]:
        for index, image in zip(batch.indices.tolist(), batch.images, strict=True):
            found.setdefault(index, []).append(image.clone())
        return {"loss": torch.zeros(())}

    runtime.fit(Scratch(path), phase="p", data=split(23, Augmentation(POLICY), resident), state={}, step=step, epochs=2,
                options=TrainOptions(batch_size=size), weights=weights)  # fmt: skip
    return found


def test_a_sample_is_augmented_alike_in_any_batch(tmp_path: Path) -> None:
    whole = seen(tmp_path / "a", 23)
    for number, (size, how) in enumerate([(4, {}), (7, {"workers": 3, "resident": False}), (7, {"resident": False})]):
        again = seen(tmp_path / f"{number}", size, **how)  # type: ignore[arg-type]
        for index, images in whole.items():
            for image, other in zip(images, again[index], strict=True):
                torch.testing.assert_close(image, other, rtol=0, atol=1e-6)
    epochs = [torch.stack([images[turn] for images in whole.values()]) for turn in (0, 1)]
    assert (epochs[0] != epochs[1]).flatten(1).any(1).float().mean() > 0.9
    other = seen(tmp_path / "b", 23, seed=2)
    assert any(not torch.equal(other[index][0], whole[index][0]) for index in whole)


def test_an_image_that_is_drawn_twice_is_augmented_twice(tmp_path: Path) -> None:
    weights = torch.zeros(23)
    weights[3] = 1.0
    images = torch.stack(seen(tmp_path, 6, weights=weights)[3])
    assert len(images) == 46
    assert len(images.flatten(1).unique(dim=0)) == 46


def test_sample_ids() -> None:
    order = torch.tensor([4, 2, 4, 0, 2, 4])
    assert sample_ids(order, 5).tolist() == [4, 2, 9, 0, 7, 14]
    assert sample_ids(torch.randperm(7), 7).sort().values.tolist() == list(range(7))


def test_evaluation_is_not_augmented() -> None:
    data = split(10, Augmentation(POLICY))
    runtime = Runtime(RuntimeOptions(device="cpu", threads=1))
    assert torch.equal(torch.cat([batch.images for batch in runtime.batches(data, 3)]), data.pixels())
    assert torch.equal(runtime.collect(lambda images: images, data), data.pixels())
    part = data.subset(torch.tensor([1, 5]))
    assert part.augmentation is data.augmentation
    assert data.augmented(None).augmentation is None


def test_copies(tmp_path: Path) -> None:
    runtime = Runtime(RuntimeOptions(device="cpu", threads=1, seed=3))
    own = split(9)
    copies = with_copies(own, SPEC, POLICY, 2, runtime)
    assert len(copies) == 27
    assert torch.equal(copies.raw(torch.arange(9)), own.raw())
    assert copies.raw().dtype == torch.uint8
    assert (copies.raw()[9:18] != copies.raw()[18:]).flatten(1).any(1).float().mean() > 0.8
    assert copies.labels is not None
    assert own.labels is not None
    assert torch.equal(copies.labels, own.labels.repeat(3))
    assert copies.digests is not None
    assert own.digests is not None
    assert np.array_equal(copies.digests[:9], own.digests)
    assert len(np.unique(copies.digests, axis=0)) == 27
    again = with_copies(own, SPEC, POLICY, 2, runtime)
    assert torch.equal(again.raw(), copies.raw())
    assert again.digests is not None
    assert np.array_equal(again.digests, copies.digests)
    lazy = with_copies(split(9, resident=False), SPEC, POLICY, 2, runtime)
    assert not lazy.in_memory
    assert torch.equal(lazy.raw(torch.tensor([20, 3, 11])), copies.raw(torch.tensor([20, 3, 11])))
    others = [(Policy.parse("rotate:21 flip noise:gaussian:0.05@0.5"), runtime),
              (POLICY, Runtime(RuntimeOptions(device="cpu", threads=1, seed=4)))]  # fmt: skip
    for policy, other in others:
        digests = with_copies(own, SPEC, policy, 2, other).digests
        assert digests is not None
        assert not (digests[9:, None] == copies.digests[None, 9:]).all(2).any()


def test_copies_stay_in_the_fold_of_their_image() -> None:
    runtime = Runtime(RuntimeOptions(device="cpu", threads=1))
    copies = with_copies(split(23), SPEC, POLICY, 3, runtime)
    targets, _ = targets_of(copies, SPEC)
    parts = folds(targets, 5, 0)
    assert sorted(np.concatenate([test for _, test in parts])) == list(range(92))
    for train, test in parts:
        assert not set(train % 23) & set(test % 23)
        assert len(train) + len(test) == 92
    clean = folds(targets_of(split(23), SPEC)[0], 5, 0)
    assert [set(test % 23) for _, test in parts] == [set(test) for _, test in clean]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", ["none", "balanced"])
def test_the_loss_of_distributions_is_the_mean_of_losses(smoothing: float, weighted: Any) -> None:
    aim = objective(SPEC, SupervisedOptions(label_smoothing=smoothing, class_weights=weighted), split(10))
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    first, second, share = torch.tensor([0, 1, 2, 1, 0]), torch.tensor([2, 1, 0, 0, 1]), torch.rand(5)
    mixed = share[:, None] * F.one_hot(first, 3) + (1 - share)[:, None] * F.one_hot(second, 3)
    each = [share[i] * aim.loss(logits[i : i + 1], first[i : i + 1])
            + (1 - share[i]) * aim.loss(logits[i : i + 1], second[i : i + 1]) for i in range(5)]  # fmt: skip
    torch.testing.assert_close(aim.loss(logits, mixed), torch.stack(each).mean())
    torch.testing.assert_close(aim.loss(logits, F.one_hot(first, 3).float()), aim.loss(logits, first))


def test_micro_batches_see_the_same_images(tmp_path: Path) -> None:
    """Draws are made before an update is cut."""
    weights = []
    for parts in (1, 4):
        runtime = Runtime(RuntimeOptions(device="cpu", threads=1))
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
        options = TrainOptions(batch_size=12, accumulate=parts, optimizer="sgd", lr=0.1)
        optimizer = runtime.optimizer(net.parameters(), options)

        def step(batch: Batch, net: nn.Module = net, optimizer: Any = optimizer, runtime: Runtime = runtime) -> Any:
            return runtime.update(optimizer, lambda x, y: F.cross_entropy(net(x), y), batch.images, batch.labels)

        runtime.fit(Scratch(tmp_path / f"{parts}"), phase="p", data=split(23, Augmentation(POLICY)), epochs=3,
                    state={"net": net, "optimizer": optimizer}, step=step, options=options)  # fmt: skip
        weights.append(torch.cat([parameter.detach().flatten() for parameter in net.parameters()]))
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=1e-6)


def test_what_auto_chooses_on_features_learns_from_copies() -> None:
    from dlkit_builtin.transfer.strategies import with_features_augmented

    runtime, nothing = Runtime(RuntimeOptions(device="cpu", threads=1)), split(0)
    data = ImageData(spec=SPEC, train=split(9, Augmentation(POLICY)), val=nothing, test=nothing)
    assert with_features_augmented(data, "finetune", runtime) is data
    made = with_features_augmented(data, "linear-probe", runtime)
    assert len(made.train) == 45
    assert made.train.augmentation is None
    assert data.train.augmentation is not None
    assert data.train.augmentation.used
