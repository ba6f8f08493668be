"""The options of ensembles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dlkit.options import Options, option


@dataclass(frozen=True, kw_only=True)
class EnsembleOptions(Options):
    """Ensemble"""

    members: tuple[str, ...] = option(
        (), "Runs whose outputs are averaged: paths, names under runs/, or latest.", metavar="RUN,RUN,…", place="run"
    )
    average: Literal["mean", "geometric"] = option(
        "mean", "Of probabilities: their mean, or their geometric mean, scaled to sum to one."
    )
    shares: tuple[float, ...] = option(
        (), "How much each member counts, in their order; by default all the same.", min=0, metavar="X,X,…"
    )

    def __post_init__(self) -> None:
        if self.shares and len(self.shares) != len(self.members):
            raise ValueError(f"--shares has {len(self.shares)} numbers for {len(self.members)} members; give one each")
        if self.shares and sum(self.shares) <= 0:
            raise ValueError("--shares are all zero; give at least one that is positive")
