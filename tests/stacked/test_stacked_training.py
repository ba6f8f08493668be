"""The five steps, beside plain loops: what is frozen stays frozen, what is trained is trained as the papers say."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from dlkit_builtin.classifier.options import ClassifierOptions
from dlkit_builtin.classifier.technique import Classifier
from dlkit_builtin.stacked.network import Network, weights_of
from dlkit_builtin.stacked.pretraining import Pretraining
from dlkit_builtin.stacked.technique import Stacked
from stacked_fakes import Learner, options, plain_phase, runtime, train
from torch import Tensor, nn

from dlkit.card import Card
from dlkit.data import ImageData, load_data
from dlkit.layers import initialise
from dlkit.options import DataOptions
from dlkit.options.values import Schedule
from dlkit.run import Run


@pytest.fixture(scope="module")
def data(shapes_npz: Path) -> ImageData:
    return load_data(DataOptions(data=str(shapes_npz)))


@pytest.fixture
def unvalidated(data: ImageData) -> ImageData:
    return dataclasses.replace(data, val=data.val.subset(torch.arange(0)))


@pytest.fixture
def learner(monkeypatch: pytest.MonkeyPatch) -> Learner:
    double = Learner()
    monkeypatch.setattr(Card, "layer_learner", lambda _: double)
    return double


def same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_without_pretraining_it_is_the_classifier_to_the_bit(tmp_path: Path, data: ImageData) -> None:
    given: dict[str, Any] = {"batch_norm": True, "dropout": 0.2, "mixup": 0.3, "l1": 1e-4, "max_norm": 2.0}
    technique, run = train(tmp_path / "stacked", data, options(pretrain="none", **given))
    chosen = ClassifierOptions(net="mlp", layers=(12, 8), epochs=3, batch_size=20, lr=0.01, activation="sigmoid",
                               init="xavier", **given)  # fmt: skip
    (tmp_path / "classifier").mkdir()
    ours, other = runtime(), Run(tmp_path / "classifier")
    torch.manual_seed(3)
    classifier = Classifier(chosen, data.spec)
    classifier.train(data, ours, other)
    pairs = zip(technique.network.state_dict().values(), classifier.network.state_dict().values(), strict=True)
    assert all(torch.equal(mine, theirs) for mine, theirs in pairs)
    assert [row["val_loss"] for row in run.metrics()] == [row["val_loss"] for row in other.metrics()]


def test_without_pretraining_it_is_a_plain_loop_to_the_bit(tmp_path: Path, unvalidated: ImageData) -> None:
    technique, _ = train(tmp_path, unvalidated, options(pretrain="none"))
    torch.manual_seed(3)
    start = Network(options(), unvalidated.spec)
    initialise(start, "xavier")
    net = nn.Sequential(nn.Flatten(), *start.layers, start.output)
    labels = unvalidated.train.labels
    assert labels is not None
    plain_phase(net, unvalidated.train.pixels(), labels, "train", 3, 0.01, runtime())
    assert same(technique.network.state_dict(), start.state_dict())


def test_each_layer_learns_from_the_frozen_ones_below(tmp_path: Path, data: ImageData, learner: Learner) -> None:
    technique, run = train(
        tmp_path, data, options(pretrain="denoising", noise="gaussian", noise_level=0.4, layers=(12, 8, 6))
    )
    assert [(task.phase, task.units, task.noise) for task in learner.tasks] == [
        ("layer-1", 12, "gaussian:0.4"), ("layer-2", 8, "gaussian:0.4"), ("layer-3", 6, "gaussian:0.4")]  # fmt: skip
    pixels = data.train.pixels().flatten(1)
    below = pixels
    for inputs, linear in zip(learner.inputs, learner.learned, strict=True):
        torch.testing.assert_close(inputs, below)
        with torch.no_grad():
            below = linear(below).sigmoid()
    phases = list(dict.fromkeys(row["phase"] for row in run.metrics()))
    assert phases == ["layer-1", "layer-2", "layer-3", "head", "finetune"]
    for number, linear in enumerate(learner.learned):  # also after the steps that came later, up to fine-tuning
        assert torch.equal(technique.before[f"hidden.{number}.0.weight"], linear.weight)
        assert torch.equal(technique.before[f"hidden.{number}.0.bias"], linear.bias)
        assert not torch.equal(weights_of(technique.network.layers[number]).weight, linear.weight)


@pytest.mark.parametrize(
    ("activation", "normalize", "binary"),
    [("sigmoid", "none", [True, True]), ("relu", "none", [True, False]), ("sigmoid", "channel", [False, True])],
)
def test_learners_are_told_what_inputs_are(
    tmp_path: Path, shapes_npz: Path, learner: Learner, activation: Any, normalize: Any, binary: list[bool]
) -> None:
    data = load_data(DataOptions(data=str(shapes_npz), normalize=normalize))
    train(tmp_path, data, options(pretrain="autoencoder", activation=activation, head_epochs=1, epochs=1))
    assert [task.binary for task in learner.tasks] == binary
    assert [task.noise for task in learner.tasks] == [None, None]
    assert not learner.inputs[0].min() < 0 or normalize == "channel"


def test_all_images_teach_layers_and_labelled_ones_the_rest(tmp_path: Path, data: ImageData, learner: Learner) -> None:
    partly = hide(data, 30)
    _, run = train(tmp_path, partly, options(pretrain="autoencoder"))
    assert [len(inputs) for inputs in learner.inputs] == [64, 64]
    steps = {row["phase"]: row["step"] for row in run.metrics()}
    assert steps == {"layer-1": 2 * 4, "layer-2": 2 * 4, "head": 2 * 2, "finetune": 3 * 2}


def hide(data: ImageData, known: int) -> ImageData:
    """Only the first labels of train are left."""
    partly = data.train.subset(torch.arange(len(data.train)))
    assert partly.labels is not None
    partly.labels[known:] = -1
    return dataclasses.replace(data, train=partly)


@pytest.mark.parametrize("pretrain", ["autoencoder", "supervised", "none"])
def test_hidden_labels_change_nothing(tmp_path: Path, data: ImageData, learner: Learner, pretrain: Any) -> None:
    """Whatever the labels beyond the first thirty are before they are hidden."""
    assert data.train.labels is not None
    other = data.train.subset(torch.arange(64))
    other.labels = data.train.labels.clone()
    other.labels[30:] = (other.labels[30:] + 1) % 3
    found = [
        train(tmp_path / str(number), hide(given, 30), options(pretrain=pretrain))[0].network.state_dict()
        for number, given in enumerate((data, dataclasses.replace(data, train=other)))
    ]
    assert same(*found)


def test_supervised_layers_are_a_plain_loop(tmp_path: Path, unvalidated: ImageData) -> None:
    """Section 4 of Bengio et al. 2007: hidden layer and temporary output; keep the one, throw away the other."""
    chosen = options(pretrain="supervised", pretrain_lr=0.02)
    technique, _ = train(tmp_path, unvalidated, chosen)
    torch.manual_seed(3)
    stack = Stacked(chosen, unvalidated.spec).network
    labels = unvalidated.train.labels
    assert labels is not None
    ours = runtime()
    torch.manual_seed(3)
    stack = Stacked(chosen, unvalidated.spec).network
    below = unvalidated.train.pixels().flatten(1)
    for number, layer in enumerate(stack.layers, start=1):
        temporary = nn.Linear(weights_of(layer).out_features, 3)
        initialise(temporary, "xavier")
        plain_phase(nn.Sequential(layer, temporary), below, labels, f"layer-{number}", 2, 0.02, ours)
        with torch.no_grad():
            below = layer(below)
    plain_phase(stack.output, below, labels, "head", 2, 0.01, ours)
    for name, tensor in stack.state_dict().items():
        torch.testing.assert_close(technique.before[name], tensor, rtol=1e-4, atol=1e-6)
    plain_phase(nn.Sequential(nn.Flatten(), *stack.layers, stack.output), unvalidated.train.pixels(), labels,
                "finetune", 3, 0.01, ours)  # fmt: skip
    for name, tensor in stack.state_dict().items():
        torch.testing.assert_close(technique.network.state_dict()[name], tensor, rtol=1e-3, atol=1e-5)


def test_batch_norm_begins_as_the_identity(tmp_path: Path, data: ImageData, learner: Learner) -> None:
    """What a layer learned without it comes out of it unchanged, in training (on all images) and in use."""
    chosen = options(pretrain="autoencoder", batch_norm=True, epochs=1)
    ours = runtime()
    technique = Stacked(chosen, data.spec)
    technique.network.objective.learn(data.train)
    train_vectors, _ = Pretraining(technique.network, data, chosen, ours, Run(tmp_path)).layers()
    with torch.no_grad():
        expected = data.train.pixels().flatten(1)
        for linear in learner.learned:
            expected = linear(expected).sigmoid()
        torch.testing.assert_close(train_vectors.pixels().flatten(1), expected, rtol=1e-3, atol=1e-4)
        at_once = copy.deepcopy(technique.network).train().features(data.train.pixels())
    torch.testing.assert_close(at_once, expected, rtol=1e-3, atol=1e-4)


def test_schedules_end_with_each_phase(tmp_path: Path, data: ImageData, learner: Learner) -> None:
    chosen = options(
        pretrain="autoencoder", schedule=Schedule("cosine"), pretrain_lr=0.3, head_lr=0.2, schedule_epochs=9
    )
    _, run = train(tmp_path, data, chosen)
    last = {row["phase"]: row["lr"] for row in run.metrics()}
    assert last["layer-1"] == last["layer-2"] < 0.1
    assert last["head"] < 0.07
    assert last["finetune"] == pytest.approx(0.01, rel=0.3)  # a third of its horizon


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"pretrain": "rbm", "activation": "relu"}, "sigmoid"),
        ({"pretrain": "rbm", "noise_level": 0.5}, "--noise-level"),
        ({"pretrain": "none", "pretrain_epochs": 3, "head_lr": 0.1}, "--pretrain-epochs, --head-lr"),
        ({"layers": ()}, "--layers"),
    ],
)
def test_what_does_not_fit_is_refused(given: dict[str, Any], words: str) -> None:
    from dlkit_builtin.stacked.options import StackedOptions

    with pytest.raises(ValueError, match=words):
        StackedOptions(**given)
