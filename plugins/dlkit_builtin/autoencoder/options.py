"""The options of the autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dlkit.options import TrainOptions, option
from dlkit_builtin.autoencoder.noise import Noise


@dataclass(frozen=True, kw_only=True)
class AutoencoderOptions(TrainOptions):
    """Autoencoder"""

    net: Literal["dense", "conv"] = option("dense", "Fully connected or convolutional networks.")
    layers: tuple[int, ...] | None = option(
        None, "Units of the encoder's hidden layers, or channels of its stages; the decoder mirrors them. "
        "By default 1000,500 (dense) and 16,64 (conv).", min=1, metavar="N,N,…",
    )  # fmt: skip
    code: int | None = option(None, "Size of the code z; by default half the pixel values, at most 128.", min=1)
    denoise: Noise | None = option(
        None, "Corrupt the input and reconstruct the clean image: gaussian:0.3, mask:0.5, salt-pepper:0.2, bars:4, "
        "block:8, speckle:0.3, or several joined by +.", bare="gaussian:0.3", metavar="NOISE",
    )  # fmt: skip
    activation: Literal["relu", "leaky-relu", "elu", "gelu", "silu", "tanh", "sigmoid"] = option(
        "relu", "Non-linearity of the hidden layers; the code is linear."
    )
    loss: Literal["mse", "bce"] = option("mse", "Squared error, or binary cross-entropy (pixels as probabilities).")
    upsample: Literal["transposed", "nearest", "unpool"] = option(
        "transposed", "How the conv decoder grows: transposed convolution, nearest neighbour then convolution, "
        "or max-unpooling with the encoder's switches."
    )  # fmt: skip
    kernel: int = option(3, "Side of the convolution kernels; odd.", min=1, advanced=True)
    dropout: float = option(0.0, "Share of hidden units dropped in training.", min=0, max=0.95)
    batch_norm: bool = option(False, "Batch normalisation after each hidden layer.")
    init: Literal["he", "xavier", "gaussian"] = option(
        "he", "Weights at the start: He et al. 2015, Glorot and Bengio 2010, or Gaussian with σ = 0.01.", advanced=True
    )
    l1: float = option(0.0, "L1 penalty on the weights.", min=0, advanced=True)
    max_norm: float | None = option(
        None, "Largest norm of the weights into a unit (Srivastava et al. 2014, section 5.1).",
        min=0, exclusive=True, advanced=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.net == "dense" and (self.upsample, self.kernel) != ("transposed", 3):
            raise ValueError("--upsample and --kernel shape convolutional networks; add --net conv")
        if self.kernel % 2 == 0:
            raise ValueError(f"--kernel must be odd, so that it has a centre (3, 5, 7…), got {self.kernel}")


def capabilities(options: AutoencoderOptions) -> frozenset[str]:
    """With max-unpooling the decoder needs the encoder's switches, so a code alone cannot be decoded."""
    able = {"encode", "reconstruct"}
    return frozenset(able if options.net == "conv" and options.upsample == "unpool" else able | {"decode"})
