"""The products in bfloat16 against float64, and the update that they make against the one in float32."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from dlkit_builtin.boltzmann.divergence import ContrastiveDivergence
from dlkit_builtin.boltzmann.machine import Machine
from dlkit_builtin.boltzmann.options import DivergenceOptions
from dlkit_builtin.boltzmann.products import FEW_ROWS, Products

STEP = 2.0**-8
"""Twice the largest relative error of rounding to bfloat16: the factors', and the result's."""


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("rows", [3, FEW_ROWS])
def test_products_are_those_of_float64(precision: str, rows: int) -> None:
    generator = seeded(1)
    weight, bias_up, bias_down = (torch.randn(s, generator=generator) for s in ((7, 20), (7,), (20,)))
    visible, hidden = torch.rand(rows, 20, generator=generator), torch.rand(rows, 7, generator=generator)
    products = Products(weight, precision)
    weight.mul_(2)  # seen at begin(), not when it was made
    products.begin()
    exact = weight.double()
    size = float((visible.abs() @ weight.abs().t()).max()) * STEP
    up, down = torch.empty(rows, 7), torch.empty(rows, 20)
    products.up(visible, bias_up, up)
    products.down(hidden, bias_down, down)
    torch.testing.assert_close(up, (visible.double() @ exact.t() + bias_up).float(), rtol=0, atol=size)
    torch.testing.assert_close(down, (hidden.double() @ exact + bias_down).float(), rtol=0, atol=size)
    outer = hidden.double().t() @ visible.double()
    expected = 0.9 * exact + 0.1 * outer
    products.add_outer(weight, hidden, visible, beta=0.9, alpha=0.1)
    torch.testing.assert_close(weight, expected.float(), rtol=1e-6, atol=0.1 * float(outer.max()) * STEP)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_an_update_in_bfloat16_is_near_the_one_in_float32_and_keeps_weights_in_float32(momentum: float) -> None:
    one = Machine(60, 40)
    other = deepcopy(one)
    images = (torch.rand(200, 60, generator=seeded(2)) < 0.3).float()
    options = DivergenceOptions(momentum=momentum)
    start = one.weight.detach().clone()
    for machine, precision in ((one, "fp32"), (other, "bf16")):
        rule = ContrastiveDivergence(machine, options, seeded(), precision)
        rule.update(images, 0.1, seeded(3))
    assert other.weight.dtype == torch.float32
    change, near = one.weight.detach() - start, other.weight.detach() - start
    assert float((near - change).norm() / change.norm()) < 0.05  # a state that is drawn otherwise counts as much
    assert not torch.equal(near, change)
