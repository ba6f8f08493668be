"""The deep belief network: machines stacked greedily (Hinton, Osindero and Teh 2006).

The first machine learns the images, the second one the hidden units of the first one as the images switch them on, and
so on. What the stack then says of an image is

    p(v, h¹, …, hᴸ) = p(v | h¹) p(h¹ | h²) … p(hᴸ⁻¹, hᴸ)

with the machines' own conditionals on the way down and the top machine's joint distribution: images are drawn by Gibbs
steps in the top machine and one way down. Each machine above the first replaces the one below's implicit p(h) by one
of its own; as far as that is the better one it raises a lower bound on log p(v) (section 4). What it must model are
hidden states as they are drawn given images, which is what it learns from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Self

from torch import Tensor, nn

from dlkit.data.spec import DataSpec
from dlkit.layerwise import layer_phase, vectors
from dlkit.metrics import Metrics
from dlkit.technique import PhasePlan, State
from dlkit_builtin.boltzmann.learning import Prepare, learn
from dlkit_builtin.boltzmann.machine import Machine
from dlkit_builtin.boltzmann.options import DbnOptions
from dlkit_builtin.boltzmann.stack import Boltzmann

if TYPE_CHECKING:
    from dlkit.data import ImageData, Split
    from dlkit.report import Picture
    from dlkit.run import Run
    from dlkit.runtime import Runtime


class Dbn(Boltzmann):
    """See the module's docstring."""

    def __init__(self, options: DbnOptions, spec: DataSpec) -> None:
        self.options = options
        super().__init__(options, spec, options.layers)

    def plan(self) -> Sequence[PhasePlan]:
        """A phase for each layer."""
        return [
            PhasePlan(layer_phase(index + 1), self.options.epochs, {"machine": machine})
            for index, machine in enumerate(self.stack.machines)
        ]

    def train(self, data: ImageData, runtime: Runtime, run: Run) -> None:
        """Contrastive divergence layer by layer; the inputs of each are computed once."""
        runtime.prepare(self.stack)
        train, val = data.train, data.val
        prepare: Prepare = self.stack.normalize
        for index, machine in enumerate(self.stack.machines):
            learn(
                machine, train, self.options, runtime, run,
                phase=layer_phase(index + 1), held_out=val, prepare=prepare,
            )  # fmt: skip
            if machine is not self.stack.top:
                train, val = (codes(machine, split, prepare, runtime) for split in (train, val))
                prepare = nn.Identity()

    def evaluate(self, data: ImageData, runtime: Runtime) -> Metrics:
        """See :mod:`dlkit_builtin.boltzmann.evaluation`."""
        from dlkit_builtin.boltzmann.evaluation import evaluate_dbn

        return evaluate_dbn(self, data, runtime)

    def pictures(self, data: ImageData, runtime: Runtime) -> Iterable[Picture]:
        """See :mod:`dlkit_builtin.boltzmann.pictures`."""
        from dlkit_builtin.boltzmann.pictures import dbn_pictures

        return dbn_pictures(self, data, runtime)

    @classmethod
    def load(cls, state: State, options: DbnOptions, spec: DataSpec) -> Self:
        """The inverse of :meth:`state`."""
        return cls(options, spec).restored(state)


def codes(machine: Machine, inputs: Split, prepare: Prepare, runtime: Runtime) -> Split:
    """The probabilities of a machine's hidden units, as inputs of the next one."""

    def encode(images: Tensor) -> Tensor:
        return machine.hidden(machine.units(prepare(images)))

    return vectors(inputs.name, runtime.collect(encode, inputs), inputs.labels)
