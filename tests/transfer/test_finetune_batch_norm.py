"""When batch norm's statistics are re-estimated, and what is said."""

from __future__ import annotations

from typing import Any

import pytest
from dlkit_builtin.transfer.freezing import batch_norm, depends_on_batch, set_modes
from dlkit_builtin.transfer.levels import Finetuning, levels
from finetune_fakes import network, options

from dlkit.errors import UsageError

SHAPE = (3, 32, 32)


@pytest.mark.parametrize(
    ("given", "images", "plan", "expected", "words"),
    [
        ({}, 40, Finetuning.all(), False, "(40 images in batches of 8 are few)"),
        ({"batch_size": 16}, 5000, Finetuning.all(), True, "14 layers go on estimating"),
        ({"batch_norm": "frozen"}, 5000, Finetuning.all(), False, "all 14 layers keep"),
        ({"batch_norm": "train"}, 40, Finetuning.top(), True, "3 layers go on estimating their statistics, the 11"),
        ({"batch_norm": "train"}, 40, Finetuning.head_only(), False, "all 14 layers keep the pretrained statistics."),
    ],
)
def test_what_is_done_and_said(
    given: dict[str, Any], images: int, plan: Finetuning, expected: bool, words: str
) -> None:
    net = network()
    stages = levels(net, SHAPE)
    trained = stages[plan.first(stages) :]
    statistics, said = batch_norm(net, trained, options(**given), images)
    assert statistics is expected
    assert words in said
    set_modes(net, trained, statistics)
    assert depends_on_batch(net) is expected


def test_nothing_is_said_of_a_network_without_batch_norm() -> None:
    net = network("test_vit", img_size=32)
    assert batch_norm(net, levels(net, SHAPE), options(batch_norm="train"), 40) == (False, "")


def test_statistics_of_one_image_are_refused() -> None:
    net = network()
    with pytest.raises(UsageError, match="batch-size is 1"):
        batch_norm(net, levels(net, SHAPE), options(batch_norm="train", batch_size=1), 40)
