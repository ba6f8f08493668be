from __future__ import annotations

import pytest
import torch

from dlkit.errors import ExportMismatchError
from dlkit.export.verify import compare


def run_compare(candidate, images=None, kind="probabilities", reference=lambda x: (x.softmax(1),)):
    images = torch.randn(20, 4, generator=torch.Generator().manual_seed(0)) if images is None else images
    return compare(reference, candidate, images, {"p": kind})


def test_equal_models_differ_by_nothing():
    assert run_compare(lambda x: (x.softmax(1),)).by_output == {"p": 0.0}


@pytest.mark.parametrize(("offset", "good"), [(9e-5, True), (1.1e-4, False)])
def test_the_tolerance(offset, good):
    def candidate(x):
        return (x.softmax(1) + offset,)

    if good:
        assert run_compare(candidate).by_output["p"] == pytest.approx(offset, abs=1e-6)
    else:
        with pytest.raises(ExportMismatchError, match=r"0\.00011"):
            run_compare(candidate)


def test_large_numbers_are_compared_by_their_size():
    def large(x):
        return (5000 + x[:, :1],)

    assert run_compare(lambda x: (large(x)[0] + 0.1,), kind="numbers", reference=large).by_output["p"] < 1e-4
    for factor, kind in ((1, "numbers"), (0.1, "values")):
        with pytest.raises(ExportMismatchError, match="differs from the model"):
            run_compare(lambda x, by=factor: (large(x)[0] + by,), kind=kind, reference=large)
    with pytest.raises(ExportMismatchError, match="differs from the model"):
        run_compare(lambda x: (x[:, :1] / 100 + 2e-4,), kind="numbers", reference=lambda x: (x[:, :1] / 100,))


def test_another_top1_within_the_tolerance_is_a_mismatch():
    images = torch.tensor([[0.50002, 0.49998]]).repeat(9, 1)
    with pytest.raises(ExportMismatchError, match="another class comes first"):
        run_compare(lambda x: (x.flip(1),), images, reference=lambda x: (x,))
    # Not so for numbers that are no probabilities, nor for exact ties.
    run_compare(lambda x: (x.flip(1),), images, kind="values", reference=lambda x: (x,))
    tie = torch.full((9, 2), 0.5)
    run_compare(lambda x: (x + torch.tensor([0.0, 1e-8]),), tie, reference=lambda x: (x,))


def test_a_fixed_batch_is_a_mismatch():
    def candidate(x):
        if len(x) != 1:
            raise RuntimeError("Got invalid dimensions\nand more")
        return (x.softmax(1),)

    with pytest.raises(ExportMismatchError) as caught:
        run_compare(candidate)
    assert caught.value.message.endswith("fails on a batch of 7: RuntimeError: Got invalid dimensions")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_not_finite_is_a_mismatch_even_where_both_agree(value):
    with pytest.raises(ExportMismatchError, match="not finite"):
        run_compare(lambda x: (x * value,), reference=lambda x: (x * value,))


def test_another_shape_or_count_is_a_mismatch():
    with pytest.raises(ExportMismatchError, match="returns"):
        run_compare(lambda x: (x.softmax(1)[:, :3],))
    with pytest.raises(ExportMismatchError, match="2 outputs"):
        run_compare(lambda x: (x, x))
