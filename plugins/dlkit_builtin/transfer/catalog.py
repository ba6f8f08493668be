"""The strategies and the table that orders them; light, for help, advice and docs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Size = Literal["little", "much"]
Similarity = Literal["similar", "different"]


@dataclass(frozen=True)
class StrategyFacts:
    """What a strategy is.

    Attributes:
        words: what is trained.
        gradients: whether the backbone's weights change, so that trying it out costs training time.
    """

    words: str
    gradients: bool


STRATEGIES: dict[str, StrategyFacts] = {
    "linear-probe": StrategyFacts("a linear classifier on the top features", False),
    "stage-probe": StrategyFacts("linear classifiers on every stage and on all together; the best one", False),
    "mlp-head": StrategyFacts("a small MLP in place of the last layers", False),
    "finetune-top": StrategyFacts("the last stage (--unfreeze) and the head", True),
    "finetune-deep": StrategyFacts("the last half of the stages and the head", True),
    "lp-ft": StrategyFacts("a linear probe first, then all weights (Kumar et al. 2022)", True),
    "finetune": StrategyFacts("all weights, the pretrained ones at a smaller rate", True),
    "gradual": StrategyFacts("one more stage from the top every few epochs (Howard and Ruder 2018)", True),
    "scratch": StrategyFacts("a network of its own, from random weights", True),
}
"""By cost, the cheapest first."""

ON_FEATURES = tuple(name for name, facts in STRATEGIES.items() if not facts.gradients)
"""The strategies that leave the backbone as it is: features are computed once."""

CELLS: dict[tuple[Size, Similarity], tuple[str, tuple[str, ...]]] = {
    ("little", "similar"): (
        "linear classifier on the top layer; retrain the last MLP layers", ("linear-probe", "mlp-head"),
    ),
    ("little", "different"): (
        "linear classifiers from different stages; collect more data", ("stage-probe",),
    ),
    ("much", "similar"): (
        "fine-tune a few layers", ("finetune-top",),
    ),
    ("much", "different"): (
        "fine-tune a larger number of layers; train from scratch", ("finetune-deep", "finetune", "scratch"),
    ),
}  # fmt: skip
"""Size of the data × similarity to the source → the advice that courses teach (Stanford CS231n, notes on transfer
learning), and the strategies that it names."""
