from __future__ import annotations

import pytest
import torch
from dlkit_rotation.plugin import RotationOptions
from dlkit_rotation.technique import Rotation, all_turns, one_turn

import dlkit
from dlkit.data import DataSpec
from dlkit.errors import DataError, UsageError
from dlkit.testing import parametrize_with_checks


@parametrize_with_checks("dlkit-rotation")
def test_the_contract(check) -> None:
    check()


def spec(height: int = 16, width: int = 16, channels: int = 3) -> DataSpec:
    return DataSpec(source="", name="", channels=channels, height=height, width=width)


def test_a_quarter_turn_moves_the_top_right_corner_to_the_top_left() -> None:
    image = torch.zeros(1, 1, 3, 3)
    image[0, 0, 0, 2] = 1
    turned, turns = all_turns(image)
    assert turns.tolist() == [0, 1, 2, 3]
    corners = [turned[i, 0].nonzero().tolist() for i in range(4)]
    assert corners == [[[0, 2]], [[0, 0]], [[2, 0]], [[2, 2]]]


def test_one_turn_draws_each_orientation_and_repeats() -> None:
    images = torch.rand(400, 1, 5, 5)
    turned, turns = one_turn(images, torch.Generator().manual_seed(1))
    assert turns.bincount(minlength=4).min() > 60
    assert all(torch.equal(turned[i], images[i].rot90(int(turns[i]), (1, 2))) for i in range(400))
    again, _ = one_turn(images, torch.Generator().manual_seed(1))
    assert torch.equal(turned, again)


@pytest.mark.parametrize(("size", "stages", "code_stage"), [(8, 3, 2), (33, 2, 1), (96, 4, 4), (64, 1, 1)])
def test_shapes_and_state(size: int, stages: int, code_stage: int) -> None:
    options = RotationOptions(stages=stages, code_stage=code_stage, width=4)
    technique = Rotation(options, spec(size, size))
    images = torch.rand(2, 3, size, size)
    probabilities, code = technique.inference_module()(images)
    assert torch.allclose(probabilities.sum(1), torch.ones(2))
    assert code.shape[1] <= 16 * 4 * 2 ** (code_stage - 1)
    again = Rotation.load(technique.state(), options, spec(size, size))
    assert torch.equal(again.encode(images), code)


def test_what_cannot_be_turned_or_halved_is_refused() -> None:
    with pytest.raises(DataError, match=r"16 × 24; only square .*\n.*--image-size 16"):
        Rotation(RotationOptions(), spec(16, 24))
    with pytest.raises(UsageError, match=r"--stages 4 .* 8 pixels.\n.*--stages 3"):
        Rotation(RotationOptions(stages=4), spec(8, 8))
    with pytest.raises(ValueError, match="--code-stage 3: there are only 2"):
        RotationOptions(stages=2, code_stage=3)


@pytest.mark.parametrize("turns", ["all", "one"])
def test_it_learns_which_way_is_up(turns: str, tmp_path) -> None:
    model = dlkit.train("rotation", data="digits", epochs=3, turns=turns, runs=tmp_path)
    accuracy = model.metrics.get("rotation_accuracy", "test")
    assert accuracy.value > 0.5
    assert accuracy.baselines["chance"] == 0.25
    assert model.metrics.get("knn_accuracy", "test").value > 0.8
