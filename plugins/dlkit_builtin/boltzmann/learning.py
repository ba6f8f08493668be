"""Teaching a machine: biases from the data, then contrastive divergence through ``runtime.fit``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from dlkit.errors import UsageError
from dlkit_builtin.boltzmann.divergence import ContrastiveDivergence
from dlkit_builtin.boltzmann.machine import Machine
from dlkit_builtin.boltzmann.options import DivergenceOptions

if TYPE_CHECKING:
    from dlkit.data import Split
    from dlkit.layerwise import LayerTask
    from dlkit.options import TrainOptions
    from dlkit.runtime import Batch, Runtime
    from dlkit.runtime.phase import RunLike

WATCHED = 1_000
"""So many images of each side are compared after an epoch."""

_SHARED = (
    "epochs", "batch_size", "lr", "momentum", "weight_decay", "schedule", "schedule_epochs", "warmup", "max_time",
    "checkpoint_every",
)  # fmt: skip
"""Of another technique's training options, what contrastive divergence knows."""

GAUSSIAN_RATE = 1 / 50
"""Of the learning rate, with Gaussian units: "one or two orders of magnitude smaller" (Hinton 2010, section 13.2)."""

Prepare = Callable[[Tensor], Tensor]


def learn(
    machine: Machine,
    inputs: Split,
    options: DivergenceOptions,
    runtime: Runtime,
    run: RunLike,
    *,
    phase: str,
    held_out: Split | None = None,
    prepare: Prepare = nn.Identity(),  # noqa: B008 - it has no state
) -> None:
    """Teach a machine that is on the runtime's device.

    Args:
        inputs: images or vectors.
        options: of this phase.
        phase: its name.
        held_out: what reconstruction and free energy are compared on after each epoch. They choose nothing: the
            reconstruction is not what contrastive divergence minimises (Hinton 2010, section 5).
        prepare: the batch's images → inputs of the machine.
    """
    machine.start_from(*statistics(inputs, prepare, runtime), len(inputs))
    share = GAUSSIAN_RATE if machine.gaussian else 1.0
    divergence = ContrastiveDivergence(
        machine, options, runtime.generator("chains", phase), runtime.precision, runtime.processes
    )

    def step(batch: Batch) -> Mapping[str, Tensor]:
        with torch.no_grad():
            units = machine.units(prepare(batch.images))
            return divergence.update(units, runtime.learning_rate * share, runtime.rng)

    def validate() -> Mapping[str, float]:
        return watch(machine, inputs, held_out, prepare, runtime) if held_out is not None else {}

    runtime.fit(
        run,
        phase=phase,
        data=inputs,
        options=options,
        state={"machine": machine, **divergence.state},
        step=step,
        validate=validate if held_out is not None and len(held_out) else None,
        monitor=None,
        independent=False,  # the chains belong to the batch, and an update is one step
    )


def statistics(inputs: Split, prepare: Prepare, runtime: Runtime) -> tuple[Tensor, Tensor]:
    """What :meth:`Machine.start_from` takes: mean and deviation of the inputs, float32 on the device."""
    total = squares = torch.zeros((), dtype=torch.float64, device=runtime.device)
    with runtime.inference():
        for batch in runtime.batches(inputs, 500):
            flat = prepare(batch.images).flatten(1).double()
            total, squares = total + flat.sum(0), squares + flat.square().sum(0)
    mean = total / len(inputs)
    variance = (squares / len(inputs) - mean.square()).clamp_min(0)
    return mean.float(), variance.mean().sqrt().float()


def watch(machine: Machine, inputs: Split, held_out: Split, prepare: Prepare, runtime: Runtime) -> dict[str, float]:
    """Reconstruction of held-out inputs, and the gap of their mean free energy to that of as many training inputs.

    The gap grows when the machine fits the training inputs better than others (Hinton 2010, section 6).
    """
    few = min(WATCHED, len(inputs), len(held_out))
    energies, errors = [], []
    with runtime.inference():
        for split in (inputs, held_out):
            units = machine.units(prepare(split.pixels(torch.arange(few)).to(runtime.device))).float()
            energies.append(machine.free_energy(units).mean())
            errors.append((machine.visible(machine.hidden(units)) - units).square().mean())
    return {"reconstruction": float(errors[1]), "free_energy_gap": float(energies[1] - energies[0])}


def learn_layer(inputs: Split, task: LayerTask, runtime: Runtime, run: RunLike) -> nn.Linear:
    """A :class:`dlkit.layerwise.LayerLearner`: W and c of a machine, as h = σ(W x + c).

    Inputs that are no probabilities get Gaussian units; their mean and scale are folded into W and c. A rate of
    0.05 is usual. The update is CD-1 whatever the optimizer named.

    Raises:
        UsageError: another activation than the sigmoid; noise.
    """
    if task.activation != "sigmoid":
        raise UsageError(
            f"--activation {task.activation}: the hidden units of a Boltzmann machine are sigmoid.",
            "Use --activation sigmoid, or another --pretrain.",
        )
    if task.noise is not None:
        raise UsageError(
            f"A Boltzmann machine learns from clean inputs; {task.noise} was asked for.", "Leave the noise out."
        )
    size = inputs.raw(torch.zeros(1, dtype=torch.int64)).numel()
    machine = runtime.prepare(Machine(size, task.units, gaussian=not task.binary))
    learn(machine, inputs, divergence_options(task.options), runtime, run, phase=task.phase)
    return linear(machine)


def divergence_options(options: TrainOptions) -> DivergenceOptions:
    """What any technique's training options say to contrastive divergence."""
    shared = {name: getattr(options, name) for name in _SHARED}
    return DivergenceOptions(**shared)


def linear(machine: Machine) -> nn.Linear:
    """x → c + W x of inputs x, Gaussian units' mean and scale folded in."""
    hidden, visible = machine.weight.shape
    layer = nn.Linear(visible, hidden).to(machine.weight.device)
    with torch.no_grad():
        layer.weight.copy_(machine.weight / machine.scale)
        layer.bias.copy_(machine.hidden_bias - layer.weight @ machine.center)
    return layer
