"""Heads on frozen features: linear ones by scikit-learn, small MLPs by gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dlkit.data import Split
from dlkit.supervised.mixup import with_mixup
from dlkit.supervised.objective import Objective
from dlkit.supervised.sampling import sample_weights
from dlkit.supervised.validation import validation

if TYPE_CHECKING:
    from dlkit.runtime import Batch, Runtime
    from dlkit.runtime.phase import FitResult, RunLike
    from dlkit_builtin.transfer.options import TransferOptions


def in_units_of(objective: Objective, linear: nn.Linear) -> nn.Linear:
    """A linear probe whose outputs are what ``objective.activate`` takes: numbers become standardised."""
    if objective.target == "number":
        with torch.no_grad():
            linear.weight.div_(objective.std.cpu()[:, None])
            linear.bias.sub_(objective.mean.cpu()).div_(objective.std.cpu())
    return linear


def mlp(sizes: Sequence[int], dropout: float) -> nn.Sequential:
    """Linear layers of these sizes, ReLU and dropout between them."""
    layers: list[nn.Module] = []
    for size, following in pairwise(sizes):
        layers += [nn.Linear(size, following), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers[:-2])


def standardised(head: nn.Sequential, mean: NDArray[np.float32], scale: NDArray[np.float32]) -> nn.Sequential:
    """The same function of features as they are that ``head`` is of ``(features - mean) / scale``, both ``(D,)``."""
    first = head[0]
    if not isinstance(first, nn.Linear):
        raise TypeError("the head begins with a linear layer")
    device = first.weight.device
    with torch.no_grad():
        first.weight.div_(torch.from_numpy(scale).to(device))
        first.bias.sub_(first.weight @ torch.from_numpy(mean).to(device))
    return head


def fit_mlp(
    head: nn.Sequential,
    train: Split,
    val: Split,
    runtime: Runtime,
    run: RunLike,
    options: TransferOptions,
    objective: Objective,
    *,
    phase: str,
) -> FitResult:
    """Train an MLP on features (see :func:`dlkit.layerwise.vectors`); where ``val`` has images, its best epoch is kept.

    ``--mixup`` mixes features, since the images behind them are not computed again.
    """
    optimizer = runtime.optimizer(head.parameters(), options)
    network = nn.Sequential(nn.Flatten(), head)

    def loss(features: Tensor, targets: Tensor) -> Tensor:
        return objective.loss(network(features), targets)

    def step(batch: Batch) -> Mapping[str, Tensor]:
        return runtime.update(optimizer, loss, batch.images, objective.targets(batch))

    head.train()
    return runtime.fit(
        run,
        phase=phase,
        data=with_mixup(train, options, objective),
        options=options,
        state={"head": head, "optimizer": optimizer},
        step=step,
        validate=validation(network, objective, val, runtime),
        epochs=options.head_epochs,
        weights=sample_weights(options, train),
    )
