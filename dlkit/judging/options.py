"""How generated images are judged: options of every technique that generates. Light."""

from __future__ import annotations

from dataclasses import dataclass

from dlkit.options import Options, option

AUTO, PIXELS, INCEPTION = "auto", "pixels", "inception"


@dataclass(frozen=True, kw_only=True)
class JudgeOptions(Options):
    """Judging"""

    features: str = option(
        AUTO, "What FID and the others compare: run:RUN or a backbone's name; inception, the network of published "
        "figures; pixels; auto: a classifier that dlkit trains on the data once, or pixels where it has no classes.",
        metavar="WHAT", place="backbone", code="builder",
    )  # fmt: skip
    inception_weights: str | None = option(
        None, "With --features inception: torch-fidelity's weights file, .pth or .safetensors.", metavar="FILE",
        place="file", advanced=True,
    )  # fmt: skip
    judged: int = option(
        2000, "At most so many generated images are compared with as many genuine ones.", min=10, advanced=True
    )

    def __post_init__(self) -> None:
        if self.features == INCEPTION and self.inception_weights is None:
            raise ValueError(
                "--features inception needs --inception-weights FILE, torch-fidelity's "
                "weights-inception-2015-12-05-6726825d.pth"
            )
