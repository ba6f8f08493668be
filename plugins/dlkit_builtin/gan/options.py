"""The options of generative adversarial networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dlkit.judging import JudgeOptions
from dlkit.options import TrainOptions, option

Loss = Literal["minimax", "non-saturating", "hinge", "lsgan", "wgan-gp"]
Net = Literal["mlp", "dcgan", "resnet"]
Condition = Literal["concat", "projection", "acgan", "matching"]

_PUBLISHED = "by default the published one for --net and --loss"


@dataclass(frozen=True, kw_only=True)
class GanOptions(TrainOptions, JudgeOptions):
    """GAN"""

    epochs: int | None = option(  # type: ignore[assignment]
        None, "Passes over the training images; by default as many as make 3,000 updates of the generator.",
        min=1, group="Training",
    )  # fmt: skip
    batch_size: int = option(64, "Images per update.", min=2, group="Training")
    lr: float | None = option(  # type: ignore[assignment]
        None, f"Learning rate of both networks; {_PUBLISHED}.", min=0, exclusive=True, group="Training"
    )
    lr_discriminator: float | None = option(
        None, "Learning rate of the discriminator, if another (two time scales, Heusel et al. 2017).",
        min=0, exclusive=True, group="Training",
    )  # fmt: skip
    betas: tuple[float, ...] | None = option(
        None, f"Adam's decay rates β1,β2; {_PUBLISHED}.", min=0, max=1, metavar="B,B", advanced=True, group="Training"
    )
    net: Net = option(
        "dcgan", "Fully connected (Goodfellow et al. 2014), convolutional (Radford et al. 2016) or residual "
        "(Miyato et al. 2018).",
    )  # fmt: skip
    loss: Loss = option("non-saturating", "What the two networks play for; `dlkit info gan` gives the formulas.")
    latent: int = option(64, "Size of the noise z.", min=1)
    width: int | None = option(
        None, "Channels next to the image, which double with each halving of its size; units of the hidden layers with "
        "--net mlp. By default 32 (dcgan), 64 (resnet) and 256 (mlp).", min=1,
    )  # fmt: skip
    n_dis: int | None = option(None, f"Updates of the discriminator per update of the generator; {_PUBLISHED}.", min=1)
    spectral_norm: Literal["auto", "yes", "no"] = option(
        "auto", "Spectral normalisation of the discriminator (Miyato et al. 2018); auto: as published for --net and "
        "--loss.",
    )  # fmt: skip
    r1: float | None = option(
        None, "Weight γ of the gradient penalty on genuine images, R1 (Mescheder et al. 2018); "
        f"{_PUBLISHED}.", min=0,
    )  # fmt: skip
    smooth: float = option(
        0.0, "One-sided label smoothing: genuine images count as 1 − this (Salimans et al. 2016); for minimax and "
        "non-saturating.", min=0, max=0.5,
    )  # fmt: skip
    diffaug: tuple[Literal["color", "translation", "cutout"], ...] = option(
        (), "Differentiable augmentation of what the discriminator sees, for little data (Zhao et al. 2020).",
        metavar="WHAT,…",
    )  # fmt: skip
    ema: float = option(
        0.999, "Decay of the generator's moving average, which makes the samples and is exported; 0: the generator "
        "itself.", min=0, max=0.99999,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.betas is not None and len(self.betas) != 2:
            raise ValueError(f"--betas are two numbers, such as 0.5,0.999; got {','.join(map(str, self.betas))}")
        if self.smooth > 0 and self.loss not in ("minimax", "non-saturating"):
            raise ValueError(f"--smooth is about probabilities; --loss {self.loss} has none")
        if self.loss == "wgan-gp" and self.r1:
            raise ValueError("--r1: wgan-gp has a gradient penalty of its own")


@dataclass(frozen=True, kw_only=True)
class CganOptions(GanOptions):
    """cGAN"""

    condition: Condition = option(
        "projection", "How the discriminator hears what an image is to be: beside its features (Mirza and Osindero "
        "2014), as an inner product with them (Miyato and Koyama 2018), by finding it out itself (Odena et al. 2017), "
        "or beside its features with wrong conditions counting as generated (Reed et al. 2016).",
    )  # fmt: skip


def told(_: CganOptions) -> frozenset[str]:
    """As :func:`capabilities`; what is made can be asked for."""
    return frozenset({"generate", "draw", "encode", "condition"})


def capabilities(_: GanOptions) -> frozenset[str]:
    """A discriminator's features are codes, but not those that a generator makes images of: these are drawn."""
    return frozenset({"generate", "draw", "encode"})
