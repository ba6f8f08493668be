"""Greedy layer-wise training: what one layer is, and who can teach one (Bengio et al. 2007).

A technique that learns a layer from its inputs alone says so on its card: ``learns_layers="package.module:function"``,
where the function is a :class:`LayerLearner`. Another technique finds it by name in the registry and need not know
how it learns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from torch import Tensor, nn

from dlkit.data.data import Resident, Split

if TYPE_CHECKING:
    from dlkit.options import TrainOptions
    from dlkit.run import Run
    from dlkit.runtime import Runtime


def layer_phase(number: int) -> str:
    """The name of the phase in which layer ``number``, counted from 1, is learned."""
    return f"layer-{number}"


@dataclass(frozen=True, kw_only=True)
class LayerTask:
    """One layer h = s(W x + b) that is to be learned from x alone.

    Attributes:
        phase: the name under which ``runtime.fit`` records and resumes it.
        units: size of h.
        activation: s, a name of :class:`dlkit.options.LayerOptions`.
        options: epochs, batch size, rate of this layer.
        noise: how x is corrupted while learning, ``mask:0.25``; None: not at all.
        binary: x lies in [0, 1] and can be taken as probabilities; else x is any number.
    """

    phase: str
    units: int
    activation: str
    options: TrainOptions
    noise: str | None = None
    binary: bool = True


class LayerLearner(Protocol):
    """Learns one layer without labels."""

    def __call__(self, inputs: Split, task: LayerTask, runtime: Runtime, run: Run) -> nn.Linear:
        """``inputs`` holds vectors as :func:`vectors` makes them → W and b, on the runtime's device.

        Raises:
            UsageError: a task that it cannot do (a Boltzmann machine's units are sigmoid).
        """
        ...


def vectors(name: str, inputs: Tensor, labels: Tensor | None = None, targets: Tensor | None = None) -> Split:
    """Vectors as a split, so that ``runtime.fit`` and ``runtime.collect`` take them.

    Args:
        name: of the split.
        inputs: float32 ``(N, D)`` on the CPU; a batch's images are ``(B, D, 1, 1)``: ``flatten(1)`` gives them back.
        labels: int64 ``(N,)``.
        targets: float32 ``(N, K)``, where labels are several per image, or numbers.
    """
    return Split(name, Resident(inputs[:, :, None, None]), labels, None, targets=targets)
