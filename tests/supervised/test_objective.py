"""The losses beside PyTorch's own, written out; what unlabelled images, weights and micro-batches do to them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn
from torch.nn import functional as F

from dlkit.data.data import Resident, Split
from dlkit.data.spec import DataSpec
from dlkit.errors import DataError, UsageError
from dlkit.options import RuntimeOptions
from dlkit.runtime import Runtime
from dlkit.supervised.objective import Objective, labelled, objective
from dlkit.supervised.options import SupervisedOptions
from dlkit.supervised.sampling import sample_weights
from dlkit.supervised.validation import validation


def spec(target: Any = "classes", count: int = 3) -> DataSpec:
    names = tuple("abcdefgh"[:count])
    return DataSpec(source="x", name="x", channels=1, height=2, width=2, target=target, classes=names)


def split(labels: torch.Tensor | None = None, targets: torch.Tensor | None = None) -> Split:
    given = labels if labels is not None else targets
    assert given is not None
    return Split("train", Resident(torch.zeros(len(given), 1, 2, 2)), labels, None, None, targets)


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


LABELS = torch.tensor([0, 1, 1, 2, 2, 2, 2, -1, 0, -1])


def test_cross_entropy_is_the_mean_over_labelled_images() -> None:
    logits = draws(10, 3)
    for smoothing in (0.0, 0.1):
        ours = objective(spec(), SupervisedOptions(label_smoothing=smoothing)).loss(logits, LABELS)
        known = LABELS >= 0
        theirs = F.cross_entropy(logits[known], LABELS[known], label_smoothing=smoothing)
        torch.testing.assert_close(ours, theirs)


def test_balanced_weights_are_scikit_learns() -> None:
    made = objective(spec(), SupervisedOptions(class_weights="balanced"), split(LABELS))
    known = LABELS[LABELS >= 0].numpy()
    theirs = compute_class_weight("balanced", classes=np.arange(3), y=known)
    np.testing.assert_allclose(made.weights.numpy(), theirs, rtol=1e-6)
    logits = draws(10, 3)
    weighted = F.cross_entropy(logits, LABELS, torch.tensor(theirs).float(), ignore_index=-1, reduction="sum")
    torch.testing.assert_close(made.loss(logits, LABELS), weighted / 8)


def test_a_class_without_training_images_weighs_one() -> None:
    made = objective(spec(count=4), SupervisedOptions(class_weights="balanced"), split(LABELS))
    assert made.weights[3] == 1
    assert made.weights.isfinite().all()


def test_binary_cross_entropy_of_several_labels() -> None:
    targets = torch.tensor([[1.0, 0, 1], [0, 0, 0], [torch.nan] * 3, [1, 1, 0], [0, 0, 1]])
    logits = draws(5, 3)
    known = torch.tensor([0, 1, 3, 4])
    plain = objective(spec("multi-label"), SupervisedOptions())
    torch.testing.assert_close(
        plain.loss(logits, targets), F.binary_cross_entropy_with_logits(logits[known], targets[known])
    )
    smooth = objective(spec("multi-label"), SupervisedOptions(label_smoothing=0.2))
    torch.testing.assert_close(
        smooth.loss(logits, targets),
        F.binary_cross_entropy_with_logits(logits[known], targets[known].clamp(0.1, 0.9)),
    )
    weighted = objective(spec("multi-label"), SupervisedOptions(class_weights="balanced"), split(targets=targets))
    torch.testing.assert_close(weighted.weights, torch.tensor([1.0, 3.0, 1.0]))
    torch.testing.assert_close(plain.activate(logits), logits.sigmoid())


def test_numbers_are_standardised_by_the_training_images_and_come_back_in_their_own_units() -> None:
    numbers = torch.tensor([[1.0, 100.0], [3.0, 300.0], [torch.nan, 500.0], [torch.nan, torch.nan]])
    made = objective(spec("number", 2), SupervisedOptions(), split(targets=numbers))
    torch.testing.assert_close(made.mean, torch.tensor([2.0, 300.0]))
    torch.testing.assert_close(made.std, torch.tensor([1.0, (80_000 / 3) ** 0.5]))
    logits = draws(4, 2)
    standard = (numbers - made.mean) / made.std
    expected = ((logits[:2] - standard[:2]).square().mean(1).sum() + (logits[2, 1] - standard[2, 1]).square()) / 3
    torch.testing.assert_close(made.loss(logits, numbers), expected)
    torch.testing.assert_close(made.activate(standard)[:2], numbers[:2])
    again = objective(spec("number", 2), SupervisedOptions())
    again.load_state_dict(made.state_dict())  # they travel with the state
    torch.testing.assert_close(again.activate(logits), made.activate(logits))


def test_a_constant_number_is_learned_too() -> None:
    made = objective(spec("number", 1), SupervisedOptions(), split(targets=torch.full((5, 1), 7.0)))
    assert made.std == 1
    assert made.activate(torch.zeros(1, 1)) == 7


@pytest.mark.parametrize("target", ["classes", "multi-label", "number"])
def test_parts_of_a_labelled_batch_add_up_to_the_whole(target: Any) -> None:
    targets = {
        "classes": LABELS.clamp(min=0),
        "multi-label": (draws(10, 3, seed=1) > 0).float(),
        "number": draws(10, 3, seed=1),
    }[target]
    given = split(targets) if target == "classes" else split(targets=targets)
    made = objective(spec(target), SupervisedOptions(), given)
    logits = draws(10, 3).requires_grad_()
    whole = torch.autograd.grad(made.loss(logits, targets), logits)[0]
    parts = sum(
        size / 10 * made.loss(z, t)
        for z, t, size in zip(logits.split([7, 3]), targets.split([7, 3]), (7, 3), strict=True)
    )
    assert isinstance(parts, torch.Tensor)
    torch.testing.assert_close(torch.autograd.grad(parts, logits)[0], whole)


def test_nothing_labelled_costs_nothing_but_cannot_be_learned_from() -> None:
    made = objective(spec(), SupervisedOptions())
    assert made.loss(draws(2, 3), torch.tensor([-1, -1])) == 0
    with pytest.raises(DataError, match="No training image is labelled"):
        made.learn(split(torch.tensor([-1, -1])))


@pytest.mark.parametrize(
    ("target", "given", "flag"),
    [
        ("number", {"label_smoothing": 0.1}, "--label-smoothing"),
        ("number", {"class_weights": "balanced"}, "--class-weights"),
        ("multi-label", {"sampling": "balanced"}, "--sampling"),
    ],
)
def test_options_that_do_not_fit_the_labels_are_refused(target: Any, given: dict[str, Any], flag: str) -> None:
    with pytest.raises(UsageError, match=flag):
        Objective(spec(target), SupervisedOptions(**given))


def test_labelled_keeps_the_images_that_have_labels() -> None:
    assert labelled(split(LABELS)).labels is not None
    assert torch.equal(labelled(split(LABELS)).labels, LABELS[LABELS >= 0])  # type: ignore[arg-type]
    whole = split(LABELS[:4])
    assert labelled(whole) is whole
    partly = torch.tensor([[1.0, torch.nan], [torch.nan, torch.nan]])
    assert len(labelled(split(targets=partly))) == 1


def test_balanced_sampling_draws_each_class_equally_often() -> None:
    weights = sample_weights(SupervisedOptions(sampling="balanced"), split(LABELS))
    assert weights is not None
    sums = torch.zeros(3, dtype=torch.float64).index_add(0, LABELS.clamp(min=0), weights)
    torch.testing.assert_close(sums, torch.ones(3, dtype=torch.float64))
    assert (weights[LABELS < 0] == 0).all()
    assert sample_weights(SupervisedOptions(), split(LABELS)) is None


def test_validation_is_the_mean_over_all_labelled_images() -> None:
    pixels = draws(10, 1, 2, 2).sigmoid()
    network = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(4, 3))
    made = objective(spec(), SupervisedOptions())
    runtime = Runtime(RuntimeOptions(device="cpu", threads=1))
    validate = validation(network, made, Split("val", Resident(pixels), LABELS, None), runtime, batch_size=3)
    assert validate is not None
    known = LABELS >= 0
    logits = network.eval()(pixels[known])
    accuracy = (logits.argmax(1) == LABELS[known]).double().mean().item()
    expected = {"loss": F.cross_entropy(logits, LABELS[known]).item(), "accuracy": accuracy}
    assert validate() == pytest.approx(expected)
    assert validation(network, made, split(torch.tensor([-1])), runtime) is None
