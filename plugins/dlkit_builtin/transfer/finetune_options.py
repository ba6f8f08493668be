"""The options of training a pretrained network further. Light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dlkit.options import TrainOptions, option
from dlkit.options.values import Schedule
from dlkit.supervised.options import SupervisedOptions


@dataclass(frozen=True, kw_only=True)
class FinetuneOptions(SupervisedOptions, TrainOptions):
    """Fine-tuning"""

    # Defaults that do well on 5 to 50 images per class, where TrainOptions has those of training from nothing.
    epochs: int = option(15, "Passes over the training images.", min=1, group="Training")
    batch_size: int = option(16, "Images per update.", min=1, group="Training")
    optimizer: str = option(
        "adamw", "adam, adamw, sgd, rmsprop… of torch, or any that timm knows.", group="Training", metavar="NAME"
    )
    schedule: Schedule = option(
        Schedule("cosine"),
        "Learning rate over time: constant, step:30, exponential:0.97, sqrt, inverse, exp, cosine, one-cycle.",
        group="Training",
        metavar="NAME[:X]",
    )

    unfreeze: str | None = option(
        None, "How much finetune-top, lp-ft and gradual train: the last N stages, or everything from STAGE on. "
        "By default 1 stage with finetune-top, else all.", group="Fine-tuning", metavar="N|STAGE",
    )  # fmt: skip
    backbone_lr_factor: float = option(
        0.1, "The pretrained weights' learning rate, as a share of --lr, which is the head's.", min=0, exclusive=True,
        group="Fine-tuning",
    )  # fmt: skip
    layer_decay: float = option(
        1.0, "Each stage learns at this share of the rate of the stage above it.", min=0, max=1, exclusive=False,
        group="Fine-tuning",
    )  # fmt: skip
    batch_norm: Literal["auto", "frozen", "train"] = option(
        "auto", "Batch norm in stages that train: keep the pretrained statistics, or go on estimating them. "
        "auto: estimate from 5,000 images and batches of 16 on.", group="Fine-tuning",
    )  # fmt: skip
    l2_sp: float = option(
        0.0, "L2-SP: penalty alpha on the distance of the pretrained weights from where they start (Li et al. 2018); "
        "0: off.", min=0, group="Fine-tuning",
    )  # fmt: skip
    l2_sp_head: float = option(
        0.01, "With --l2-sp: the L2 penalty beta of the head.", min=0, group="Fine-tuning", advanced=True
    )
    unfreeze_every: int = option(
        1, "Epochs between two stages that gradual unfreezes.", min=1, group="Fine-tuning", advanced=True
    )

    def __post_init__(self) -> None:
        super_check = getattr(super(), "__post_init__", None)
        if super_check is not None:
            super_check()
        if self.l2_sp > 0 and self.weight_decay > 0:
            raise ValueError("--l2-sp takes the place of --weight-decay; give one of them")
        if self.unfreeze is not None and self.unfreeze.lstrip("-").isdigit() and int(self.unfreeze) < 1:
            raise ValueError(f"--unfreeze takes a number of stages from 1 on, or a stage's name, got {self.unfreeze}")
