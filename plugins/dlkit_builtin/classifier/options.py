"""The options of networks that are trained from scratch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dlkit.options import option
from dlkit.supervised.options import ScratchOptions

CONVOLUTIONAL = ("lenet", "cnn")


@dataclass(frozen=True, kw_only=True)
class ClassifierOptions(ScratchOptions):
    """Classifier"""

    net: Literal["mlp", "lenet", "cnn", "resnet"] = option(
        "cnn", "Fully connected; LeNet-5 (LeCun et al. 1998); convolutions and pooling; a ResNet for small images "
        "(He et al. 2016, section 4.2)."
    )  # fmt: skip
    layers: tuple[int, ...] | None = option(
        None, "Units of the hidden layers (mlp: 256,128), or channels of the convolutions (lenet: 6,16; cnn: 32,64,… "
        "until maps are about 4 pixels wide) or of the stages (resnet: 16,32,64).", min=1, metavar="N,N,…",
    )  # fmt: skip
    dense: tuple[int, ...] | None = option(
        None, "Units of fully connected layers between convolutions and output (lenet: 120,84; cnn: 128); the last "
        "one's are the features.", min=1, metavar="N,N,…",
    )  # fmt: skip
    loss: Literal["softmax", "svm"] = option(
        "softmax", "Cross-entropy, or the multi-class hinge (Weston and Watkins 1999)."
    )
    kernels: tuple[int, ...] | None = option(
        None, "Side of the convolution kernels: one for all layers, or one for each (lenet: 5; cnn: 3).",
        min=1, metavar="N,N,…", advanced=True,
    )  # fmt: skip
    strides: tuple[int, ...] = option(
        (1,), "Strides of the convolutions, likewise.", min=1, metavar="N,N,…", advanced=True
    )
    padding: tuple[int, ...] | None = option(
        None, "Zeros around the maps, likewise; by default half a kernel (lenet: 2,0).",
        min=0, metavar="N,N,…", advanced=True,
    )  # fmt: skip
    pool: Literal["max", "avg", "none"] = option("max", "2 × 2 pooling after each convolution.")
    blocks: int = option(3, "Blocks per stage of a resnet, n: 6n + 2 layers with three stages.", min=1, advanced=True)

    def __post_init__(self) -> None:
        shaped = [("--kernels", self.kernels), ("--padding", self.padding), ("--dense", self.dense)]
        given = [flag for flag, value in shaped if value is not None]
        given += ["--strides"] * (self.strides != (1,)) + ["--pool"] * (self.pool != "max")
        if given and self.net not in CONVOLUTIONAL:
            raise ValueError(f"{', '.join(given)}: shapes --net cnn and lenet, not {self.net}")
        if self.blocks != 3 and self.net != "resnet":
            raise ValueError(f"--blocks shapes --net resnet, not {self.net}")
        if self.loss == "svm" and self.label_smoothing > 0:
            raise ValueError("--label-smoothing softens the target of softmax; --loss svm has a margin in its place")
