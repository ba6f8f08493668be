"""Machines on top of each other, between pixels and codes: what an RBM and a deep belief network share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Self, cast

from torch import Generator, Tensor, nn

from dlkit.data.spec import DataSpec
from dlkit.errors import UsageError
from dlkit.runtime import Normalize
from dlkit.technique import OutputKind, State
from dlkit_builtin.boltzmann.machine import Machine
from dlkit_builtin.boltzmann.options import BoltzmannOptions


class Stack(nn.Module):
    """The machines and the way of the pixels to the first one.

    Args:
        options: what the first machine's visible units are.
        spec: of the images.
        hidden: units of each machine, from the pixels on.

    Raises:
        UsageError: normalised pixels as probabilities.
    """

    def __init__(self, options: BoltzmannOptions, spec: DataSpec, hidden: Sequence[int]) -> None:
        super().__init__()
        if options.visible == "bernoulli" and spec.normalization.mode != "none":
            raise UsageError(
                f"--visible bernoulli takes pixels as probabilities; with --normalize {spec.normalization.mode} they "
                "are none.",
                "Use --visible gaussian, or --normalize none.",
            )
        self.shape = spec.shape
        self.normalize = Normalize(spec.normalization)
        sizes = [math.prod(spec.shape), *hidden]
        self.layers = nn.ModuleList(
            Machine(below, above, gaussian=options.visible == "gaussian" and index == 0)
            for index, (below, above) in enumerate(zip(sizes, hidden, strict=False))
        )

    @property
    def machines(self) -> list[Machine]:
        """From the pixels on."""
        return cast("list[Machine]", list(self.layers))

    @property
    def first(self) -> Machine:
        """That of the pixels."""
        return self.machines[0]

    @property
    def top(self) -> Machine:
        """That of the code."""
        return self.machines[-1]

    def encode(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → probabilities of the top hidden units ``(B, Z)``."""
        return self.up(self.first.units(self.normalize(images)))

    def decode(self, codes: Tensor) -> Tensor:
        """``(B, Z)`` → pixels ``(B, C, H, W)``: the mean of each layer given that of the layer above."""
        for machine in reversed(self.machines):
            codes = machine.visible(codes)
        return self.pixels(codes)

    def up(self, units: Tensor) -> Tensor:
        """Visible units of the first machine ``(B, V)`` → ``(B, Z)``."""
        for machine in self.machines:
            units = machine.hidden(units)
        return units

    def pixels(self, units: Tensor) -> Tensor:
        """Visible units of the first machine ``(B, V)`` → pixels ``(B, C, H, W)`` in [0, 1]."""
        images = self.first.inputs(units).view(-1, *self.shape)
        pixels: Tensor = self.normalize.inverse(images)
        return pixels.clamp(0, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels ``(B, C, H, W)`` → reconstruction, same shape, and code ``(B, Z)``."""
        code = self.encode(images)
        return self.decode(code), code


class Boltzmann:
    """A technique but for its training and its figures; capabilities: encode, decode, reconstruct, generate."""

    def __init__(self, options: BoltzmannOptions, spec: DataSpec, hidden: Sequence[int]) -> None:
        self.spec = spec
        self.stack = Stack(options, spec, hidden)
        self.steps = options.gibbs

    def encode(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → codes ``(B, Z)``: how probably each of the top hidden units is on."""
        return self.stack.encode(images)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes ``(B, Z)`` → pixels ``(B, C, H, W)``.

        Raises:
            UsageError: codes of another size.
        """
        size = len(self.stack.top.hidden_bias)
        if codes.ndim != 2 or codes.shape[1] != size:
            raise UsageError(f"Codes have the shape {tuple(codes.shape)}; expected (B, {size}).")
        return self.stack.decode(codes)

    def reconstruct(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → pixels, same shape."""
        return self.stack(images)[0]  # type: ignore[no-any-return]

    def generate(self, count: int, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """``--gibbs`` steps in the top machine from noise, then down to means of the pixels, ``(count, C, H, W)``.

        Raises:
            UsageError: labels, of which it knows none.
        """
        if labels is not None:
            raise UsageError("A Boltzmann machine learns no labels, so it cannot draw images of a class.")
        top = self.stack.top
        _, hidden = top.gibbs(top.noise(count, generator), self.steps, generator)
        return self.down(hidden, generator)

    def down(self, hidden: Tensor, generator: Generator) -> Tensor:
        """Drawn hidden units of the top machine ``(B, Z)`` → pixels ``(B, C, H, W)``, by draws and a last mean."""
        for machine in reversed(self.stack.machines[1:]):
            hidden = machine.draw_visible(hidden, generator)
        return self.stack.pixels(self.stack.first.visible(hidden))

    def outputs(self) -> Mapping[str, OutputKind]:
        """The reconstruction and the code."""
        return {"reconstruction": "image", "code": "code"}

    def inference_module(self) -> nn.Module:
        """``forward(pixels) -> (reconstruction, code)``."""
        return self.stack.eval()

    def state(self) -> State:
        """Weights and biases of every machine, and what its inputs are like."""
        return State(self.stack.state_dict())

    def restored(self, state: State) -> Self:
        """Itself, with what was learned."""
        self.stack.load_state_dict(dict(state.tensors))
        self.stack.eval()
        return self
