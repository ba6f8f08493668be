"""How features are computed and kept: options that every technique with a frozen backbone shares. Light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dlkit.options import Options, option


@dataclass(frozen=True, kw_only=True)
class FeatureOptions(Options):
    """Features"""

    feature_precision: Literal["auto", "fp32", "bf16"] = option(
        "auto",
        "Arithmetic of the frozen backbone; auto: bf16 where it is faster and 32 of the images agree with fp32.",
        group="Features",
        advanced=True,
    )
    cache: bool = option(True, "Keep features, and use those that are there; see `dlkit cache`.", group="Features")
