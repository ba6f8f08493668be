"""What simple models make of each stage's features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlkit.probes.transferability import h_score, logme

if TYPE_CHECKING:
    from dlkit_builtin.transfer.study import Study

_WIDE = 4096  # features: beyond it H-score's matrix takes longer to solve than it is worth


@dataclass(frozen=True, kw_only=True)
class StageEstimate:
    """What simple models make of a stage's features; ``value`` is accuracy (or see ``Targets.scores``)."""

    stage: str
    probe: float
    probe_interval: tuple[float, float]
    neighbours: float
    logme: float
    h_score: float | None


def stage_estimates(found: Study) -> list[StageEstimate]:
    """Probe, nearest neighbours, LogME and H-score of every stage."""
    rows = []
    for tap, features in found.features.items():
        probe = found.probe((tap,))
        rows.append(
            StageEstimate(
                stage=str(tap),
                probe=probe.value,
                probe_interval=probe.interval,
                neighbours=found.neighbours(tap).value,
                logme=logme(features, found.targets),
                h_score=h_score(features, found.targets) if features.shape[1] <= _WIDE else None,
            )
        )
    return rows
