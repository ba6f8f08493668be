"""The options of the Boltzmann machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dlkit.options import TrainOptions, option
from dlkit.options.values import Schedule

HIDDEN = 500
"""Hidden units by default, or twice the pixel values where these are fewer."""


@dataclass(frozen=True, kw_only=True)
class DivergenceOptions(TrainOptions):
    """Contrastive divergence"""

    cd: int = option(1, "Steps k of the Gibbs chain in each update: CD-k.", min=1, metavar="K")
    persistent: int | None = option(
        None, "Persistent CD: so many chains go on from update to update instead of starting at the images.",
        bare="100", min=1, metavar="CHAINS",
    )  # fmt: skip
    sparsity: float | None = option(
        None, "Target for how often a hidden unit is on.", bare="0.1", min=0, max=1, exclusive=True
    )
    sparsity_cost: float = option(0.1, "How strongly --sparsity pulls.", min=0, exclusive=True, advanced=True)
    batch_size: int = option(20, "Images per update.", min=1, group="Training")
    lr: float = option(
        0.05, "Learning rate; machines with Gaussian units take a fiftieth of it.", min=0, exclusive=True,
        group="Training",
    )  # fmt: skip
    momentum: float = option(0.9, "Momentum of the update.", min=0, max=1, group="Training")
    epochs: int = option(50, "Passes over the training images; of each layer.", min=1, group="Training")
    schedule: Schedule = option(
        Schedule("cosine"), "Learning rate over time: constant, step:30, exponential:0.97, sqrt, inverse, exp, cosine, "
        "one-cycle.", group="Training", metavar="NAME[:X]",
    )  # fmt: skip
    weight_decay: float = option(1e-4, "L2 penalty on the weights, not on the biases.", min=0, group="Training")
    optimizer: Literal["sgd"] = option(
        "sgd", "A Boltzmann machine makes its own update, that of sgd with momentum.", group="Training",
        advanced=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.clip is not None or self.accumulate > 1:
            raise ValueError("--clip and --accumulate: a Boltzmann machine's update has no gradient to clip or add up")


@dataclass(frozen=True, kw_only=True)
class BoltzmannOptions(DivergenceOptions):
    """Boltzmann machines"""

    visible: Literal["bernoulli", "gaussian"] = option(
        "bernoulli", "What a pixel is: on with its grey value as probability, or a number with Gaussian noise."
    )
    gibbs: int = option(1000, "Gibbs steps from noise to a generated image.", min=1, group="Use and evaluation")
    ais: int = option(
        1000, "Intermediate distributions of annealed importance sampling, for the log-likelihood.", min=2,
        group="Use and evaluation",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RbmOptions(BoltzmannOptions):
    """Restricted Boltzmann machine"""

    hidden: int | None = option(
        None, f"Hidden units; by default twice the pixel values, at most {HIDDEN}.", min=1, metavar="N"
    )


@dataclass(frozen=True, kw_only=True)
class DbnOptions(BoltzmannOptions):
    """Deep belief network"""

    layers: tuple[int, ...] = option((500, 500), "Hidden units of each layer, from the pixels on.", min=1,
                                     metavar="N,N,…")  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.layers) < 2:
            raise ValueError("--layers needs two layers or more for a deep belief network; one is `dlkit train rbm`")
