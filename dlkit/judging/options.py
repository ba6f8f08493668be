"""How generated images are judged: options of every technique that generates. Light."""

from __future__ import annotations

from dataclasses import dataclass

from dlkit.options import Options, option

AUTO, PIXELS = "auto", "pixels"


@dataclass(frozen=True, kw_only=True)
class JudgeOptions(Options):
    """Judging"""

    features: str = option(
        AUTO, "What FID and the others compare: run:RUN or a backbone's name; pixels; auto: a classifier that dlkit "
        "trains on the data once, or pixels where it has no classes.", metavar="WHAT", place="backbone",
    )  # fmt: skip
    judged: int = option(
        2000, "At most so many generated images are compared with as many genuine ones.", min=10, advanced=True
    )
