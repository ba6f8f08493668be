"""What hidden layers are made of, and what holds their weights: options of every technique that builds its networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dlkit.options.declare import Options, option


@dataclass(frozen=True, kw_only=True)
class LayerOptions(Options):
    """Layers; :mod:`dlkit.layers` makes them."""

    activation: Literal["relu", "leaky-relu", "elu", "gelu", "silu", "tanh", "sigmoid"] = option(
        "relu", "Non-linearity of the hidden layers."
    )
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
