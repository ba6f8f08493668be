"""The options of transfer learning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dlkit.backbones import BackboneOptions
from dlkit.features import FeatureOptions
from dlkit.options import TrainOptions, option

Strategy = Literal["linear-probe"]


@dataclass(frozen=True, kw_only=True)
class TransferOptions(TrainOptions, FeatureOptions, BackboneOptions):
    """Transfer"""

    strategy: Strategy = option("linear-probe", "What is trained.")
