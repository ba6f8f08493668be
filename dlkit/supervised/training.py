"""A phase in which a network learns from labels: batches, mixtures, penalties, validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from torch import Tensor, nn

from dlkit.layers import l1_penalty, limit_norm
from dlkit.supervised.mixup import with_mixup
from dlkit.supervised.objective import Objective
from dlkit.supervised.options import ScratchOptions
from dlkit.supervised.sampling import sample_weights
from dlkit.supervised.validation import validation

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from dlkit.data import Split
    from dlkit.run import Run
    from dlkit.runtime import Batch, FitResult, Runtime


def fit_labels(
    network: nn.Module,
    objective: Objective,
    train: Split,
    val: Split,
    options: ScratchOptions,
    runtime: Runtime,
    run: Run,
    *,
    phase: str,
    loss: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> FitResult:
    """Train all parameters of a network on labels; the weights with the lowest loss on ``val`` are kept.

    Args:
        network: images ``(B, C, H, W)`` → logits ``(B, K)``; on the runtime's device.
        objective: the loss; it has learned from the training images.
        train: labelled images.
        val: its labelled images choose between epochs; where there is none, the last weights stay.
        options: all about batches, rates and penalties.
        runtime: does the rest.
        run: where the phase is recorded.
        phase: its name.
        loss: in place of the objective's, ``loss(logits, targets)`` → mean over images.
    """
    measure = loss or objective.loss
    optimizer = runtime.optimizer(network.parameters(), options)

    def step(batch: Batch) -> Mapping[str, Tensor]:
        figures = _update(network, objective, measure, options, batch, runtime, optimizer)
        if options.max_norm is not None:
            limit_norm(network, options.max_norm)
        return figures

    return runtime.fit(
        run,
        phase=phase,
        data=with_mixup(train, options, objective),
        options=options,
        state={"network": network, "optimizer": optimizer},
        step=step,
        validate=validation(network, objective, val, runtime, measure),
        independent=not normalises_batches(network),
        weights=sample_weights(options, train),
    )


def normalises_batches(network: nn.Module) -> bool:
    """Whether the images of a batch depend on each other."""
    return any(isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d) for part in network.modules())


def _update(
    network: nn.Module,
    objective: Objective,
    measure: Callable[[Tensor, Tensor], Tensor],
    options: ScratchOptions,
    batch: Batch,
    runtime: Runtime,
    optimizer: Optimizer,
) -> Mapping[str, Tensor]:
    """One update on a batch: ``loss`` and, of images of one class, ``accuracy``."""

    def loss(images: Tensor, targets: Tensor) -> dict[str, Tensor]:
        logits = network(images)
        figures = {"loss": measure(logits, targets) + l1_penalty(network, options)}
        if not targets.is_floating_point():
            figures["accuracy"] = (logits.argmax(1) == targets).float().mean()
        return figures

    return runtime.update(optimizer, loss, batch.images, objective.targets(batch))
