"""The options of colorization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dlkit.options import LayerOptions, TrainOptions, option

BIN_DEFAULTS = {"grid": 10, "rebalance": 0.5, "temperature": 0.38}


@dataclass(frozen=True, kw_only=True)
class ColorizeOptions(TrainOptions, LayerOptions):
    """Colorization"""

    mode: Literal["regression", "bins"] = option(
        "regression", "Predict the colour of each pixel, or a probability for each bin of colours (Zhang et al. 2016)."
    )
    loss: Literal["l2", "smooth-l1"] = option(
        "l2", "Of regression: squared error, or squared below 10 units of ab and absolute above."
    )
    layers: tuple[int, ...] | None = option(
        None, "Channels of the encoder's levels, each half as large as the one before; the decoder mirrors them. "
        "By default 16,32,… until maps are about 4 pixels wide, five levels at most.", min=1, metavar="N,N,…",
    )  # fmt: skip
    rebalance: float = option(
        0.5, "Of bins: how much rare colours count more; 0 not at all, towards 1 inversely to their frequency.",
        min=0, max=0.99,
    )  # fmt: skip
    temperature: float = option(
        0.38, "Of bins: 1 gives the mean of the predicted colours, towards 0 the most probable one.",
        min=0.01, max=1,
    )  # fmt: skip
    grid: int = option(10, "Of bins: their side in units of ab.", min=4, max=60, advanced=True)
    subsample: int | None = option(
        None, "Predict colours at 1/N of the height and width, and scale them up: a power of 2. By default 1; of bins, "
        "the least that leaves 64 x 64 places at most.", min=1, max=64, advanced=True,
    )  # fmt: skip
    batch_norm: bool = option(True, "Batch normalisation after each hidden layer, as in Zhang et al. 2016.")
    batch_size: int = option(16, "Images per update.", min=1, group="Training")

    def __post_init__(self) -> None:
        if self.mode == "regression":
            given = [f"--{name}" for name, value in BIN_DEFAULTS.items() if getattr(self, name) != value]
            if given:
                raise ValueError(f"{', '.join(given)}: of colour bins; add --mode bins")
        elif self.loss != "l2":
            raise ValueError(f"--loss {self.loss} is of --mode regression; colour bins are learned by cross-entropy")
        if self.subsample is not None and self.subsample & (self.subsample - 1):
            raise ValueError(f"--subsample must be a power of 2 (1, 2, 4, 8…), got {self.subsample}")
