"""The options of the autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dlkit.options import LayerOptions, TrainOptions, option
from dlkit_builtin.autoencoder.noise import Noise


@dataclass(frozen=True, kw_only=True)
class AutoencoderOptions(TrainOptions, LayerOptions):
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
    loss: Literal["mse", "bce"] = option("mse", "Squared error, or binary cross-entropy (pixels as probabilities).")
    upsample: Literal["transposed", "nearest", "unpool"] = option(
        "transposed", "How the conv decoder grows: transposed convolution, nearest neighbour then convolution, "
        "or max-unpooling with the encoder's switches."
    )  # fmt: skip
    kernel: int = option(3, "Side of the convolution kernels; odd.", min=1, advanced=True)

    def __post_init__(self) -> None:
        if self.net == "dense" and (self.upsample, self.kernel) != ("transposed", 3):
            raise ValueError("--upsample and --kernel shape convolutional networks; add --net conv")
        if self.kernel % 2 == 0:
            raise ValueError(f"--kernel must be odd, so that it has a centre (3, 5, 7…), got {self.kernel}")


def capabilities(options: AutoencoderOptions) -> frozenset[str]:
    """With max-unpooling the decoder needs the encoder's switches, so a code alone cannot be decoded."""
    able = {"encode", "reconstruct"}
    return frozenset(able if options.net == "conv" and options.upsample == "unpool" else able | {"decode"})
