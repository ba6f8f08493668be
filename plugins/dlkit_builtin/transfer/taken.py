"""Which options a strategy takes: one that would be ignored is refused."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from dlkit.errors import UsageError
from dlkit.options import TrainOptions
from dlkit_builtin.transfer.catalog import STRATEGIES

if TYPE_CHECKING:
    from dlkit_builtin.transfer.options import TransferOptions

_TUNED = tuple(name for name, facts in STRATEGIES.items() if facts.gradients)
_PRETRAINED = tuple(name for name in _TUNED if name != "scratch")
_BY_GRADIENTS = ("mlp-head", *_TUNED)

_TAKEN_BY: dict[str, tuple[str, ...]] = {
    **{field.name: _BY_GRADIENTS for field in dataclasses.fields(TrainOptions)},
    "epochs": _TUNED,  # those of mlp-head are --head-epochs
    "mixup": _BY_GRADIENTS,
    "label_smoothing": _BY_GRADIENTS,
    "hidden": ("mlp-head",),
    "head_epochs": ("mlp-head",),
    "dropout": ("mlp-head",),
    "probe_c": ("linear-probe", "stage-probe", "lp-ft"),
    "budget": (),
    "unfreeze_every": ("gradual",),
    "backbone_lr_factor": _PRETRAINED,
    "layer_decay": _PRETRAINED,
    "batch_norm": _PRETRAINED,
    "l2_sp": _PRETRAINED,
    "l2_sp_head": _PRETRAINED,
}
"""Option → the strategies that take it, beside auto, which takes all; options that are not here have checks of their
own, or are for all."""


def takes(strategy: str, option: str) -> bool:
    """Whether the option has an effect."""
    return strategy == "auto" or strategy in _TAKEN_BY.get(option, (strategy,))


def check_taken(options: TransferOptions) -> None:
    """See that every option that is not at its default has an effect.

    Raises:
        UsageError: one has none.
    """
    given = [field.name for field in dataclasses.fields(options) if getattr(options, field.name) != field.default]
    idle = [name for name in given if not takes(options.strategy, name)]
    if idle:
        flags = ", ".join("--" + name.replace("_", "-") for name in idle)
        others = [name for name in _TAKEN_BY[idle[0]] if name != options.strategy] or ["auto"]
        raise UsageError(
            f"{flags}: --strategy {options.strategy} does not take {'it' if len(idle) == 1 else 'them'}.",
            f"Leave it out, or use --strategy {' or '.join(others[:3])}.",
        )
    if "l2_sp_head" in given and options.l2_sp == 0:
        raise UsageError(
            "--l2-sp-head is the head's part of --l2-sp, which is off.", "Add --l2-sp 0.1, or leave it out."
        )
