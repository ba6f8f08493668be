"""The restricted Boltzmann machine: p(v, h) ∝ exp(−E(v, h)), taught by contrastive divergence.

:mod:`.machine` is the model, :mod:`.divergence` its update, :mod:`.partition` its log Z.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Self

from dlkit.data.spec import DataSpec
from dlkit.metrics import Metrics
from dlkit.technique import PhasePlan, State
from dlkit_builtin.boltzmann.learning import learn
from dlkit_builtin.boltzmann.machine import Machine
from dlkit_builtin.boltzmann.options import HIDDEN, RbmOptions
from dlkit_builtin.boltzmann.stack import Boltzmann

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.report import Picture
    from dlkit.run import Run
    from dlkit.runtime import Runtime

PHASE = "train"


class Rbm(Boltzmann):
    """See the module's docstring."""

    def __init__(self, options: RbmOptions, spec: DataSpec) -> None:
        self.options = options
        super().__init__(options, spec, [options.hidden or min(HIDDEN, 2 * math.prod(spec.shape))])

    @property
    def machine(self) -> Machine:
        """The one machine."""
        return self.stack.first

    def plan(self) -> Sequence[PhasePlan]:
        """One phase."""
        return [PhasePlan(PHASE, self.options.epochs, {"machine": self.machine})]

    def train(self, data: ImageData, runtime: Runtime, run: Run) -> None:
        """Contrastive divergence on the training images; the last weights are kept."""
        runtime.prepare(self.stack)
        learn(
            self.machine, data.train, self.options, runtime, run,
            phase=PHASE, held_out=data.val, prepare=self.stack.normalize,
        )  # fmt: skip

    def evaluate(self, data: ImageData, runtime: Runtime) -> Metrics:
        """See :mod:`dlkit_builtin.boltzmann.evaluation`."""
        from dlkit_builtin.boltzmann.evaluation import evaluate_rbm

        return evaluate_rbm(self, data, runtime)

    def pictures(self, data: ImageData, runtime: Runtime) -> Iterable[Picture]:
        """See :mod:`dlkit_builtin.boltzmann.pictures`."""
        from dlkit_builtin.boltzmann.pictures import rbm_pictures

        return rbm_pictures(self, data, runtime)

    @classmethod
    def load(cls, state: State, options: RbmOptions, spec: DataSpec) -> Self:
        """The inverse of :meth:`state`."""
        return cls(options, spec).restored(state)
