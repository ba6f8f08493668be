"""What trains and what stays: gradients, modes of the modules, batch norm's statistics, learning rates by stage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from torch import nn

from dlkit.errors import UsageError
from dlkit_builtin.transfer.finetune_options import FinetuneOptions
from dlkit_builtin.transfer.levels import Level, counted
from dlkit_builtin.transfer.network import Network

BatchNorm = nn.modules.batchnorm._BatchNorm
"""What batch norms of all kinds and libraries descend from."""

ENOUGH_IMAGES, ENOUGH_IN_BATCH = 5000, 16
"""From how many training images, and images per batch, ``--batch-norm auto`` re-estimates the statistics."""


def freeze(network: Network, trained: Iterable[Level]) -> None:
    """Let the head and these levels have gradients, and nothing else."""
    network.requires_grad_(False)
    network.head.requires_grad_(True)
    for level in trained:
        for parameter in level.parameters(network):
            parameter.requires_grad_(True)


def set_modes(network: Network, trained: Iterable[Level], statistics: bool) -> None:
    """Training mode for the head and the trained levels, eval mode for all else, so that the dropout of frozen stages
    is off and their running statistics stay; batch norm of trained levels trains its statistics where ``statistics``.
    """
    network.eval()
    network.head.train()
    for level in trained:
        for module in level.modules(network):
            module.training = statistics or not isinstance(module, BatchNorm)


def depends_on_batch(network: Network) -> bool:
    """Whether, in the present modes, what an image gives depends on the other images of its batch."""
    return any(
        isinstance(module, BatchNorm) and (module.training or module.running_mean is None)
        for module in network.modules()
    )


def batch_norm(network: Network, trained: Sequence[Level], options: FinetuneOptions, images: int) -> tuple[bool, str]:
    """Whether the trained levels re-estimate batch norm's statistics, and words for the user ("" without batch norm).

    Raises:
        UsageError: statistics of batches of one image.
    """
    ours = sum(isinstance(module, BatchNorm) for level in trained for module in level.modules(network))
    every = sum(isinstance(module, BatchNorm) for module in network.backbone.network.modules())
    if not every:
        return False, ""
    enough = images >= ENOUGH_IMAGES and options.batch_size >= ENOUGH_IN_BATCH
    statistics = ours > 0 and (options.batch_norm == "train" or (options.batch_norm == "auto" and enough))
    if statistics and options.batch_size == 1:
        raise UsageError("--batch-norm train needs several images per batch, but --batch-size is 1.",
                         "Use a larger --batch-size, or --batch-norm frozen.")  # fmt: skip
    if statistics:
        rest = f", the {every - ours} of frozen stages keep the pretrained ones" if every > ours else ""
        return True, f"Batch norm: {ours} layers go on estimating their statistics{rest}."
    why = (
        f" ({images} images in batches of {options.batch_size} are few)"
        if ours and options.batch_norm == "auto"
        else ""
    )
    return False, f"Batch norm: all {every} layers keep the pretrained statistics{why}."


def groups(network: Network, stages: Sequence[Level], first: int, options: FinetuneOptions) -> list[dict[str, Any]]:
    """The optimizer's parameter groups, the head first.

    The head learns at η = ``lr``, stage k of K at η · ``backbone_lr_factor`` · ``layer_decay``^(K − k) (Howard and
    Ruder 2018, section 3.2, take a decay of 1/2.6; Bao et al. 2022, 0.65 to 0.95); what follows the last stage learns
    as that stage. Weight decay is on weights, not on biases and the scales of norms (parameters of one dimension).

    Args:
        network: after :func:`freeze`.
        stages: all its levels.
        first: the first of them that trains.
        options: the rates.
    """
    found = list(_split(network.head.parameters(), options.lr, options))
    numbered = counted(stages)
    for index in reversed(range(first, len(stages))):
        below = sum(above > index for above in numbered)  # K − k
        rate = options.lr * options.backbone_lr_factor * options.layer_decay**below
        found += _split(stages[index].parameters(network), rate, options)
    return found


def _split(parameters: Iterable[nn.Parameter], lr: float, options: FinetuneOptions) -> Iterator[dict[str, Any]]:
    listed = list(parameters)
    for decay, some in (
        (options.weight_decay, [parameter for parameter in listed if parameter.ndim > 1]),
        (0.0, [parameter for parameter in listed if parameter.ndim <= 1]),
    ):
        if some:
            yield {"params": some, "lr": lr, "weight_decay": decay}
