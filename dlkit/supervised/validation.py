"""What ``runtime.fit`` looks at between epochs: loss and accuracy on the val split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from dlkit.supervised.objective import Objective, labelled

if TYPE_CHECKING:
    from dlkit.data import Split
    from dlkit.runtime import Runtime


def validation(
    network: nn.Module,
    objective: Objective,
    split: Split,
    runtime: Runtime,
    loss: Callable[[Tensor, Tensor], Tensor] | None = None,
    batch_size: int = 250,
) -> Callable[[], Mapping[str, float]] | None:
    """For ``runtime.fit(validate=…)``: a function that gives the mean ``loss`` and, of classes, the ``accuracy``.

    Args:
        network: pixels → logits; in eval mode while it is looked at.
        objective: what targets are, and the loss.
        split: images to look at; only the labelled ones count. None is returned where there is none.
        runtime: brings them.
        loss: in place of the objective's, ``loss(logits, targets)`` → mean over images.
        batch_size: images at once.
    """
    shown = labelled(split)
    if len(shown) == 0:
        return None
    measure = loss or objective.loss

    def validate() -> Mapping[str, float]:
        network.eval()
        totals = torch.zeros(2, dtype=torch.float64, device=runtime.device)
        with runtime.inference():
            for batch in runtime.batches(shown, batch_size):
                logits, targets = network(batch.images).float(), objective.targets(batch)
                hits = (logits.argmax(1) == targets).sum() if objective.target == "classes" else torch.zeros(())
                totals += torch.stack([measure(logits, targets).double() * len(batch), hits.to(totals)])
        loss_sum, right = totals.tolist()
        figures = {"loss": loss_sum / len(shown)}
        return figures | {"accuracy": right / len(shown)} if objective.target == "classes" else figures

    return validate
