"""Contrastive divergence whose rows and chains are divided among processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from dlkit_builtin.boltzmann.divergence import ContrastiveDivergence
from dlkit_builtin.boltzmann.machine import Machine
from dlkit_builtin.boltzmann.options import DivergenceOptions

from dlkit.runtime.processes import Processes


@pytest.mark.parametrize(
    ("options", "gaussian"),
    [
        ({"momentum": 0.0, "weight_decay": 0.1}, False),
        ({"momentum": 0.9, "weight_decay": 0.1, "sparsity": 0.1}, False),
        ({"momentum": 0.5, "cd": 2}, True),
        ({"momentum": 0.5, "persistent": 7}, False),
    ],
)
def test_it_is_that_of_one_process(
    together: Callable[..., list[Any]], options: dict[str, Any], *, gaussian: bool
) -> None:
    batches = [torch.rand(rows, 6, generator=torch.Generator().manual_seed(rows)) for rows in (9, 9, 1)]
    weight = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))

    def learn(processes: Processes) -> dict[str, torch.Tensor]:
        machine, generator = Machine(6, 5, gaussian=gaussian), torch.Generator().manual_seed(2)
        machine.weight.data.copy_(weight)
        chains = torch.Generator().manual_seed(3)
        rule = ContrastiveDivergence(machine, DivergenceOptions(**options), chains, processes=processes)
        for batch in batches:
            figures = rule.update(batch, 0.1, generator)
        return {**machine.state_dict(), **rule.state, **figures}

    [expected] = together(1, learn)
    for found in together(2, learn):
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=0, atol=1e-5)
