"""How good generated images are: distances between their features and those of genuine ones, beside baselines.

Names are loaded on first use, so that the light submodule ``options`` needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlkit.judging.options import JudgeOptions
from dlkit.lazy import loader

if TYPE_CHECKING:
    from dlkit.judging.classes import judge_classes
    from dlkit.judging.conditional import judge_conditions
    from dlkit.judging.verdict import judge

__all__ = ["JudgeOptions", "judge", "judge_classes", "judge_conditions"]

__getattr__ = loader(__name__, {"judge": "verdict", "judge_classes": "classes", "judge_conditions": "conditional"})
