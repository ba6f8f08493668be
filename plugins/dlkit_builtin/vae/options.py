"""The options of the variational autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dlkit.options import LayerOptions, TrainOptions, option


@dataclass(frozen=True, kw_only=True)
class VaeOptions(TrainOptions, LayerOptions):
    """Variational autoencoder"""

    epochs: int = option(50, "Passes over the training images.", min=1, group="Training")
    lr: float = option(2e-3, "Learning rate.", min=0, exclusive=True, group="Training")
    init: Literal["he", "xavier", "gaussian"] = option(
        "xavier", "Weights at the start: He et al. 2015, Glorot and Bengio 2010, or Gaussian with σ = 0.01. He's make "
        "small codes loud, and the decoder then learns less between them.", advanced=True,
    )  # fmt: skip
    net: Literal["dense", "conv"] = option("dense", "Fully connected or convolutional networks.")
    layers: tuple[int, ...] | None = option(
        None, "Units of the encoder's hidden layers, or channels of its stages; the decoder mirrors them. "
        "By default 512 (dense) and 32,64 (conv).", min=1, metavar="N,N,…",
    )  # fmt: skip
    code: int = option(16, "Size of the code z.", min=1)
    beta: float = option(1.0, "Weight of the KL divergence (β-VAE, Higgins et al. 2017).", min=0)
    likelihood: Literal["bernoulli", "gaussian"] = option(
        "bernoulli", "What the decoder says of each pixel: the probability of white, or the mean of a Gaussian."
    )
    variance: float | None = option(
        None, "Variance of the Gaussian, of pixels in [0, 1]; by default one for all pixels is learned.",
        min=0, exclusive=True,
    )  # fmt: skip
    binarize: Literal["none", "dynamic", "threshold"] = option(
        "none", "Make pixels 0 or 1: drawn afresh for each batch with the grey value as probability, or 1 from half "
        "grey on.",
    )  # fmt: skip
    conditional: bool = option(False, "Tell encoder and decoder the image's class, to generate images of a class.")
    kl_warmup: float = option(
        0.0, "Epochs over which the weight of the KL divergence grows from 0 to --beta.", min=0, metavar="EPOCHS"
    )
    free_bits: float = option(
        0.0, "Nats per code unit up to which its mean KL divergence costs nothing (Kingma et al. 2016).",
        min=0, metavar="NATS",
    )  # fmt: skip
    nll_samples: int = option(
        100, "Importance samples per image of the negative log-likelihood (Burda et al. 2016).",
        min=1, max=5000, advanced=True,
    )  # fmt: skip
    nll_images: int = option(
        1000, "At most so many held-out images whose negative log-likelihood is estimated.", min=1, advanced=True
    )

    def __post_init__(self) -> None:
        if self.likelihood == "bernoulli" and self.variance is not None:
            raise ValueError("--variance is that of a Gaussian; add --likelihood gaussian")
        if self.likelihood == "gaussian" and self.binarize != "none":
            raise ValueError(f"--binarize {self.binarize} makes pixels 0 or 1; leave --likelihood at bernoulli")


def capabilities(options: VaeOptions) -> frozenset[str]:
    """A conditional model needs the class beside the code to decode, and finds an image's class by Bayes' rule."""
    able = {"encode", "reconstruct", "generate", "draw"}
    return frozenset(able | ({"condition", "classify"} if options.conditional else {"decode"}))
