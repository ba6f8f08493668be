"""The options of transfer learning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dlkit.backbones import BackboneOptions
from dlkit.features import FeatureOptions
from dlkit.options import option
from dlkit.options.values import Duration
from dlkit_builtin.transfer.finetune_options import FinetuneOptions

Strategy = Literal[
    "auto", "linear-probe", "stage-probe", "mlp-head", "finetune-top", "finetune-deep", "lp-ft", "finetune", "gradual",
    "scratch",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TransferOptions(FinetuneOptions, FeatureOptions, BackboneOptions):
    """Transfer"""

    strategy: Strategy = option(
        "auto",
        "How the backbone is reused; auto measures size and similarity, races the strategies that may win, and says "
        "why it chose. `dlkit info transfer` describes each.",
    )
    stage: str = option(
        "top", "The stage whose features linear-probe and mlp-head take; `dlkit info BACKBONE` lists them.",
        metavar="STAGE", advanced=True,
    )  # fmt: skip
    probe_c: float | None = option(
        None, "Inverse strength C of a linear probe's L2 penalty; by default chosen by cross-validation.",
        min=0, exclusive=True, advanced=True,
    )  # fmt: skip
    hidden: tuple[int, ...] = option((256,), "Units of the hidden layers of mlp-head.", min=1, metavar="N,N,…")
    head_epochs: int = option(50, "Epochs of mlp-head, which sees features only.", min=1, advanced=True)
    dropout: float = option(0.5, "Share of units dropped before each layer of mlp-head but the first.", min=0, max=0.95)
    budget: Duration = option(
        Duration(600.0), "For auto: how long strategies that train by gradients may be tried out.", metavar="TIME"
    )
