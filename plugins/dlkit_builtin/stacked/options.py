"""The options of greedy layer-wise training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dlkit.options import option
from dlkit.supervised.options import ScratchOptions

LEARNERS = {"autoencoder": "autoencoder", "denoising": "autoencoder", "rbm": "rbm"}
"""``--pretrain`` → the technique that teaches a layer without labels."""

RATES = {"autoencoder": 3e-3, "denoising": 3e-3, "rbm": 0.05, "supervised": 1e-3}
"""``--pretrain`` → learning rate of its phases where the user names none."""

RATES_OF_NUMBERS = RATES | {"autoencoder": 1e-3, "denoising": 1e-3}
"""The same where a layer's inputs are no probabilities."""


@dataclass(frozen=True, kw_only=True)
class StackedOptions(ScratchOptions):
    """Layers one by one"""

    layers: tuple[int, ...] = option(
        (500, 500, 500), "Units of the hidden layers, from the pixels on; a single one is a shallow net.",
        min=1, metavar="N,N,…",
    )  # fmt: skip
    pretrain: Literal["autoencoder", "denoising", "rbm", "supervised", "none"] = option(
        "denoising", "What each layer learns by before the next one is put on top: as an autoencoder, one that gets "
        "corrupted inputs, a Boltzmann machine, from labels with an output layer of its own, or not at all.",
    )  # fmt: skip
    noise: Literal["mask", "salt-pepper", "gaussian", "speckle"] = option(
        "mask", "How --pretrain denoising corrupts each layer's inputs: sets some to 0; or to 0 and 1, half each; adds "
        "Gaussian noise; multiplies by it.",
    )  # fmt: skip
    noise_level: float = option(0.25, "Share of the inputs that are set, or σ of the noise.", min=0, max=1)
    pretrain_epochs: int = option(10, "Epochs of each layer.", min=1)
    pretrain_lr: float | None = option(
        None, "Learning rate of each layer; by default 0.003 for autoencoders (0.001 where a layer's inputs are not in "
        "[0, 1]), 0.05 for rbm, 0.001 for supervised.", min=0, exclusive=True,
    )  # fmt: skip
    head_epochs: int = option(10, "Epochs of the output layer alone, on the frozen features.", min=1)
    head_lr: float = option(0.01, "Its learning rate.", min=0, exclusive=True)
    batch_size: int = option(32, "Images per update.", min=1, group="Training")
    activation: Literal["relu", "leaky-relu", "elu", "gelu", "silu", "tanh", "sigmoid"] = option(
        "sigmoid", "Non-linearity of the hidden layers; rbm knows sigmoid only."
    )
    init: Literal["he", "xavier", "gaussian"] = option(
        "xavier", "Weights at the start: He et al. 2015, Glorot and Bengio 2010, or Gaussian with σ = 0.01.",
        advanced=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        if not self.layers:
            raise ValueError("--layers names no layer; expected the units of one or more")
        if self.pretrain == "rbm" and self.activation != "sigmoid":
            raise ValueError(
                f"--activation {self.activation}: the units of a Boltzmann machine are sigmoid; --pretrain rbm "
                "needs --activation sigmoid"
            )
        if (self.noise, self.noise_level) != ("mask", 0.25) and self.pretrain != "denoising":
            raise ValueError(f"--noise and --noise-level: only --pretrain denoising corrupts, not {self.pretrain}")
        given = [flag for flag, value, default in (
            ("--pretrain-epochs", self.pretrain_epochs, 10), ("--pretrain-lr", self.pretrain_lr, None),
            ("--head-epochs", self.head_epochs, 10), ("--head-lr", self.head_lr, 0.01),
        ) if value != default]  # fmt: skip
        if given and self.pretrain == "none":
            raise ValueError(f"{', '.join(given)}: --pretrain none trains all layers at once, by --epochs and --lr")
