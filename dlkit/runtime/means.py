"""Means of a step's figures over an epoch, without waiting for the device at each step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from dlkit.errors import PluginError

FULL = 256
"""Steps whose figures are kept before the device is asked for their values."""


class NotFiniteError(Exception):
    """A figure that is not finite.

    Args:
        name: the figure.
        value: nan or ±inf.
        back: how many steps before the latest one.
    """

    def __init__(self, name: str, value: float, back: int) -> None:
        super().__init__(name)
        self.name, self.value, self.back = name, value, back


class Means:
    """Sums of figures, weighted by samples.

    The values are added one by one in float64, in the order of the steps, so the sums do not depend on when the
    device was asked: an interrupted epoch ends with the same bits as a whole one.
    """

    def __init__(self) -> None:
        self.sums: dict[str, list[float]] = {}  # name → [Σ value · samples, Σ samples]
        self.pending: list[tuple[Mapping[str, Any], int]] = []

    def flush(self) -> None:
        """Take in the pending steps.

        Raises:
            NotFiniteError: the first figure that is not finite.
        """
        steps = self.pending[:]
        self.pending.clear()  # in place: the training loop appends to this very list
        values = self._values(steps)
        position = 0
        for index, (figures, samples) in enumerate(steps):
            for name in figures:
                value = values[position]
                position += 1
                if not math.isfinite(value):
                    raise NotFiniteError(name, value, len(steps) - 1 - index)
                total = self.sums.setdefault(name, [0.0, 0.0])
                total[0] += value * samples
                total[1] += samples

    def means(self) -> dict[str, float]:
        """Name → mean over the samples of the steps that gave the figure."""
        return {name: total / samples for name, (total, samples) in self.sums.items()}

    def _values(self, steps: list[tuple[Mapping[str, Any], int]]) -> list[float]:
        """All figures of all steps, fetched at once where they are scalars on one device.

        Raises:
            PluginError: a step gave something else than named numbers.
        """
        for row, _ in steps:
            if not isinstance(row, Mapping):
                raise PluginError(
                    f"step() gave {row!r}; expected the step's figures by name.",
                    "Return what runtime.update() returns.",
                )
        figures = [value for row, _ in steps for value in row.values()]
        if figures and all(isinstance(value, Tensor) for value in figures):
            with suppress(RuntimeError), torch.no_grad():  # RuntimeError: different shapes or devices
                stacked = torch.stack(figures)
                if stacked.dim() == 1:
                    fetched: list[float] = stacked.tolist()
                    return fetched
        for row, _ in steps:
            for name, value in row.items():
                if isinstance(value, Tensor) and value.numel() != 1:
                    raise PluginError(f"step() must give scalars, but {name!r} has the shape {tuple(value.shape)}.")
        return [float(value) for value in figures]
