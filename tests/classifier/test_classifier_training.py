"""Training is the plain PyTorch loop; losses, labels of every kind, and a crash that leaves no trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dlkit_builtin.classifier.options import ClassifierOptions
from dlkit_builtin.classifier.technique import Classifier, hinge
from PIL import Image
from sklearn.metrics import hinge_loss
from torch import nn
from torch.nn import functional as F

from dlkit.data import ImageData, load_data
from dlkit.options import DataOptions, RuntimeOptions
from dlkit.options.values import Duration
from dlkit.run import Run
from dlkit.runtime import Runtime


@pytest.fixture(scope="module")
def data(shapes_npz: Path) -> ImageData:
    return load_data(DataOptions(data=str(shapes_npz)))


def runtime(seed: int = 3) -> Runtime:
    return Runtime(RuntimeOptions(device="cpu", seed=seed, threads=1))


def options(**given: Any) -> ClassifierOptions:
    defaults: dict[str, Any] = {"net": "mlp", "layers": (12,), "epochs": 3, "batch_size": 20}
    return ClassifierOptions(**defaults | {"checkpoint_every": Duration(0.0)} | given)


def train(path: Path, data: ImageData, chosen: ClassifierOptions, seed: int = 3) -> tuple[Classifier, Run]:
    path.mkdir(exist_ok=True, parents=True)
    run, ours = Run(path), runtime(seed)
    torch.manual_seed(seed)
    technique = Classifier(chosen, data.spec)
    technique.train(data, ours, run)
    return technique, run


def weston_watkins(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """CS231n's loop."""
    total = torch.zeros(())
    for row, label in zip(scores, labels.tolist(), strict=True):
        for other in range(len(row)):
            if other != label:
                total = total + torch.clamp(row[other] - row[label] + 1, min=0)
    return total / len(scores)


@pytest.mark.parametrize("loss", ["softmax", "svm"])
def test_training_equals_a_plain_loop(tmp_path: Path, data: ImageData, loss: Any) -> None:
    chosen = options(loss=loss, l1=1e-4, max_norm=1.5, weight_decay=1e-3)
    technique, run = train(tmp_path, data, chosen)
    torch.manual_seed(3)
    start = Classifier(chosen, data.spec).network
    plain = nn.Sequential(nn.Flatten(), start.body[1][0], nn.ReLU(), start.output)  # type: ignore[index]
    layers = [plain[1], plain[3]]
    adam = torch.optim.Adam(plain.parameters(), lr=1e-3, weight_decay=1e-3, fused=True)
    measure = F.cross_entropy if loss == "softmax" else weston_watkins
    pixels, labels, ours = data.train.pixels(), data.train.labels, runtime()
    assert labels is not None
    rows = []
    for epoch in range(3):
        order = torch.randperm(64, generator=ours.generator("permutation", "train", epoch))
        total = 0.0
        for indices in order.split(20):
            value = measure(plain(pixels[indices]), labels[indices])
            value = value + 1e-4 * sum(layer.weight.abs().sum() for layer in layers)
            adam.zero_grad()
            value.backward()
            adam.step()
            with torch.no_grad():
                for layer in layers:
                    layer.weight.copy_(torch.renorm(layer.weight, 2, 0, 1.5))
            total += value.item() * len(indices)
        with torch.no_grad():
            logits = plain(data.val.pixels())
            assert data.val.labels is not None
            accuracy = (logits.argmax(1) == data.val.labels).double().mean().item()
            rows.append((total / 64, measure(logits, data.val.labels).item(), accuracy))
    found = [(row["train_loss"], row["val_loss"], row["val_accuracy"]) for row in run.metrics()]
    np.testing.assert_allclose(found, rows, rtol=1e-5)
    kept = [p for name, p in technique.network.named_parameters()]
    for mine, theirs in zip(kept, [p for layer in layers for p in layer.parameters()], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


def test_the_hinge_of_two_classes_is_scikit_learns() -> None:
    generator = torch.Generator().manual_seed(0)
    scores, labels = torch.randn(20, 2, generator=generator), torch.arange(20) % 2
    margin = (scores[:, 1] - scores[:, 0]).numpy()
    ours = hinge(scores, labels, torch.ones(2))
    assert ours.item() == pytest.approx(hinge_loss(labels.numpy(), margin), rel=1e-5)


def test_the_hinge_of_many_classes_is_the_sum_over_the_others() -> None:
    generator = torch.Generator().manual_seed(0)
    scores, labels = torch.randn(9, 5, generator=generator), torch.arange(9) % 5
    torch.testing.assert_close(hinge(scores, labels, torch.ones(5)), weston_watkins(scores, labels))
    unknown = torch.cat([labels, torch.tensor([-1])])
    more = torch.cat([scores, scores[:1]])
    torch.testing.assert_close(hinge(more, unknown, torch.ones(5)), weston_watkins(scores, labels))
    assert hinge(scores[:1], torch.tensor([-1]), torch.ones(5)) == 0


def test_the_hinge_of_a_distribution_is_the_mean_over_classes() -> None:
    scores, weights = torch.randn(4, 3, generator=torch.Generator().manual_seed(2)), torch.tensor([1.0, 2.0, 0.5])
    shares = torch.rand(4, 3).softmax(1)
    each = [[hinge(row[None], torch.tensor([label]), weights) for label in range(3)] for row in scores]
    expected = (shares * torch.tensor(each)).sum(1).mean()
    torch.testing.assert_close(hinge(scores, shares, weights), expected)


@pytest.mark.parametrize(
    "given",
    [
        {"net": "cnn", "layers": (8,), "dense": (16,), "lr": 0.01},
        {"net": "cnn", "layers": (8,), "dense": (16,), "batch_norm": True, "batch_size": 21, "lr": 0.01},
        {"net": "resnet", "layers": (8,), "blocks": 1, "lr": 0.01},
        {"loss": "svm", "lr": 0.01, "class_weights": "balanced"},
        {"mixup": 0.4, "label_smoothing": 0.1, "sampling": "balanced", "lr": 0.01},
        {"dropout": 0.1, "optimizer": "sgd", "lr": 0.1, "accumulate": 3},
    ],
    ids=str,
)
def test_every_kind_learns(tmp_path: Path, data: ImageData, given: dict[str, Any]) -> None:
    technique, run = train(tmp_path, data, options(epochs=25, **given))
    losses = [row["val_loss"] for row in run.metrics()]
    assert min(losses) < 0.8 * losses[0]
    outputs = technique.predict(data.test, runtime())
    assert data.test.labels is not None
    assert (outputs.argmax(1) == data.test.labels).float().mean() > 0.6
    torch.testing.assert_close(outputs.sum(1), torch.ones(16))


def manifest(folder: Path, header: str, images: np.ndarray, cells: list[str]) -> str:
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{index}.png")
    rows = [f"{index}.png,{cell}" for index, cell in enumerate(cells)]
    (folder / "m.csv").write_text("\n".join([f"image_path,{header}", *rows]))
    return str(folder / "m.csv")


def test_several_labels_per_image_are_learned(tmp_path: Path) -> None:
    """Four corners, each lit or not: a label for each."""
    random = np.random.default_rng(0)
    lit = random.random((240, 4)) < 0.5
    images = random.integers(0, 60, (240, 6, 6)).astype(np.uint8)
    for corner, (row, column) in enumerate(((0, 0), (0, 3), (3, 0), (3, 3))):
        images[lit[:, corner], row : row + 3, column : column + 3] += 120
    cells = [";".join(name for name, on in zip("abcd", row, strict=True) if on) or ";" for row in lit]
    data = load_data(DataOptions(data=manifest(tmp_path, "label", images, cells)))
    assert data.spec.target == "multi-label"
    technique, _ = train(tmp_path / "run", data, options(epochs=40, lr=0.01, class_weights="balanced"))
    scores = technique.predict(data.test, runtime())
    assert data.test.targets is not None
    assert ((scores > 0.5) == data.test.targets.bool()).float().mean() > 0.97
    metrics = technique.evaluate(data, runtime())
    assert {row.split for row in metrics if row.name != "trainable_parameters"} >= {"test"}
    assert technique.outputs() == {"scores": "scores"}


def test_regression_recovers_a_linear_function(tmp_path: Path) -> None:
    """Two numbers that are linear in the pixels, in units of their own, some of them unknown."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (400, 4, 4)).astype(np.uint8)
    values = images.reshape(400, 16) / 255 @ random.normal(size=(16, 2)) * [1000, 0.01] + [5000, -3]
    cells = [f"{mass:.9f},{'' if index % 7 == 0 else f'{angle:.9f}'}" for index, (mass, angle) in enumerate(values)]
    path = manifest(tmp_path, "mass,angle", images, cells)
    data = load_data(DataOptions(data=path, label=("mass", "angle")))
    chosen = options(layers=(32,), epochs=150, lr=0.01, batch_size=32)
    technique, _ = train(tmp_path / "run", data, chosen)
    said, true = technique.predict(data.test, runtime()), data.test.targets
    assert true is not None
    known = ~true.isnan()
    for column in (0, 1):
        mine, real = said[known[:, column], column], true[known[:, column], column]
        assert (mine - real).square().mean() < 0.03 * real.var()
    assert technique.outputs() == {"numbers": "numbers"}
    again = Classifier.load(technique.state(), chosen, data.spec)  # mean and deviation come with it
    torch.testing.assert_close(again.predict(data.test, runtime()), said)


def test_unlabelled_images_are_left_out(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (40, 4, 4)).astype(np.uint8), np.arange(40) % 2
    splits = np.repeat(["train", "val"], 20)
    np.savez(tmp_path / "a.npz", images=images, labels=labels, split=splits)
    more = np.concatenate([images, random.integers(0, 256, (30, 4, 4)).astype(np.uint8)])
    np.savez(
        tmp_path / "b.npz",
        images=more,
        labels=np.r_[labels, [-1] * 30],
        split=np.r_[splits, ["train"] * 15, ["val"] * 15],
    )
    rows = []
    for name in "ab":
        _, run = train(tmp_path / name, load_data(DataOptions(data=str(tmp_path / f"{name}.npz"))), options())
        rows.append([(row["train_loss"], row["val_loss"]) for row in run.metrics()])
    assert rows[0] == rows[1]


class CrashError(Exception):
    pass


@pytest.mark.parametrize(
    "given", [{"mixup": 0.4, "sampling": "balanced"}, {"net": "resnet", "layers": (4,), "blocks": 1}]
)
def test_a_resumed_training_ends_with_the_same_bits(
    tmp_path: Path, data: ImageData, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dlkit.runtime.fit._SAVING_SHARE", 1e9)
    chosen = options(dropout=0.2, checkpoint_every=Duration(1e-9), **given)
    whole, _ = train(tmp_path / "whole", data, chosen)
    with monkeypatch.context() as patch:
        calls, update = [0], Runtime.update

        def crash(self: Runtime, *arguments: Any) -> Any:
            calls[0] += 1
            if calls[0] == 6:
                raise CrashError
            return update(self, *arguments)

        patch.setattr(Runtime, "update", crash)
        with pytest.raises(CrashError):
            train(tmp_path / "crashed", data, chosen)
    resumed, _ = train(tmp_path / "crashed", data, chosen)
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, resumed.network.state_dict()[name]), name
