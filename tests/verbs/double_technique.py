"""A technique that learns nothing, with codes and draws that a test can compute by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from dlkit.card import Card
from dlkit.data.spec import DataSpec
from dlkit.metrics import Metrics
from dlkit.options import Options, option
from dlkit.technique import OutputKind, PhasePlan, State


@dataclass(frozen=True, kw_only=True)
class DoubleOptions(Options):
    """Double"""

    can: tuple[str, ...] = option(("encode", "decode", "generate", "condition"), "Its capabilities.")
    units: int = option(2, "Size of the code.", min=1)


CARD = Card(
    name="double",
    summary="Learn nothing.",
    options=DoubleOptions,
    implementation="double_technique:Double",
    capabilities=lambda options: frozenset(options.can),
)


def decode(codes: Tensor, spec: DataSpec) -> Tensor:
    """Waves whose frequency and phase are the code's."""
    places = torch.linspace(0, 1, spec.channels * spec.height * spec.width)
    frequencies = torch.arange(1, codes.shape[1] + 1)
    waves = torch.sin(codes[:, :, None] * places * frequencies[:, None]).mean(1)
    return (0.5 + 0.5 * waves).view(-1, *spec.shape)


class Double:
    """See :func:`decode`; the code of an image is the mean of each of Z parts of its pixels, times 4."""

    def __init__(self, options: DoubleOptions, spec: DataSpec) -> None:
        self.options, self.spec = options, spec

    def plan(self) -> Sequence[PhasePlan]:
        return []

    def train(self, data: Any, runtime: Any, run: Any) -> None:
        pass

    def evaluate(self, data: Any, runtime: Any) -> Metrics:
        return Metrics(())

    def outputs(self) -> Mapping[str, OutputKind]:
        return {"code": "code"}

    def inference_module(self) -> nn.Module:
        return nn.Identity()

    def state(self) -> State:
        return State({"nothing": torch.zeros(1)})

    @classmethod
    def load(cls, state: State, options: DoubleOptions, spec: DataSpec) -> Self:
        return cls(options, spec)

    def encode(self, images: Tensor) -> Tensor:
        return torch.stack([part.mean(1) for part in images.flatten(1).chunk(self.options.units, 1)], 1) * 4

    def decode(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        images = decode(codes, self.spec)
        if labels is not None:
            images[:, 0, 0, 0] = labels / 10
        return images

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        return torch.randn(count, self.options.units, generator=generator)

    def generate(self, count: int, generator: torch.Generator, labels: Tensor | None = None) -> Tensor:
        """Noise, or what is decoded of draws; with labels, the first pixel is label / 10."""
        if "draw" in self.options.can:
            return self.decode(self.draw(count, generator), labels)
        images = torch.rand((count, *self.spec.shape), generator=generator)
        if labels is not None:
            images[:, 0, 0, 0] = labels / 10
        return images


def registered() -> Iterator[None]:
    """The card is in the registry while this is open."""
    from dlkit.discovery import Registered, registry

    registry().techniques["double"] = Registered(CARD, "dlkit", "1", "double")
    yield
    del registry().techniques["double"]
