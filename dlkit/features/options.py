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
        "Arithmetic of the frozen backbone; auto: bf16 where the processor has it and 32 of the images agree with "
        "fp32 (cosine 0.999).",
        group="Features",
        advanced=True,
    )
    fast: bool = option(
        True,
        "Fold batch norm into convolutions, choose the precision, compile where --compile says so; without it the "
        "backbone computes features as it is, in fp32.",
        group="Features",
        advanced=True,
    )
    cache: bool = option(True, "Keep features, and use those that are there; see `dlkit cache`.", group="Features")

    def __post_init__(self) -> None:
        # Mixed with other options in dataclasses that check theirs: every class passes the call on.
        parent = getattr(super(), "__post_init__", None)
        if parent is not None:
            parent()
        if not self.fast and self.feature_precision == "bf16":
            raise ValueError("--no-fast computes in fp32; --feature-precision bf16 contradicts it")
