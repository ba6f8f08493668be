"""The same from Python."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import dlkit
from dlkit.errors import UsageError


def test_generate_and_morph(make: Any) -> None:
    model = dlkit.load(make(units=3).path)
    few, many = model.generate(3, label="down", seed=4), model.generate(70, label=0, seed=4)
    torch.testing.assert_close(few, many[:3], rtol=0, atol=0)
    assert many.shape == (70, 1, 8, 8)
    assert not torch.equal(model.generate(3, label=0), few)
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    path = model.morph(images[:1], images[1:], steps=5, path="spherical")
    torch.testing.assert_close(path[[0, -1]], model.decode(model.encode(images)))
    with pytest.raises(UsageError, match="steps = 1"):
        model.morph(images[:1], images[1:], steps=1)
    with pytest.raises(UsageError, match="There is no class '7'"):
        model.generate(1, label=7)
