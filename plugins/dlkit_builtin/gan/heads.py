"""From a discriminator's features ``(B, D)`` and a condition ``(B, K)`` to its output ``(B, 1)``.

f are the features of an image x, y its condition; what is not said otherwise is linear with a bias.

===========  ==================================================================  ======================================
condition    D(x, y)                                                             source
===========  ==================================================================  ======================================
concat       w · leaky(W [f; y])                                                 Mirza and Osindero 2014, section 3.2
matching     the same                                                            Reed et al. 2016, section 4.2
projection   w · f + yᵀ V f                                                      Miyato and Koyama 2018, equation 3
acgan        w · f; another layer says which condition x has                     Odena, Olah and Shlens 2017, section 3
===========  ==================================================================  ======================================
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F

from dlkit_builtin.gan.options import Condition

HIDDEN = 128
"""Units of W; the size that Reed et al. 2016 bring their conditions to."""


class Joined(nn.Module):
    """Features and condition side by side, a hidden layer, the output.

    W [f; y] is computed as two products, whose weights begin as large as their own number of inputs asks for: else a
    condition of ten numbers would hardly be heard beside thousands of features.
    """

    def __init__(self, features: int, size: int) -> None:
        super().__init__()
        self.features, self.condition = nn.Linear(features, HIDDEN), nn.Linear(size, HIDDEN, bias=False)
        self.output = nn.Linear(HIDDEN, 1)

    def forward(self, features: Tensor, given: Tensor) -> Tensor:
        """``(B, D)`` and ``(B, K)`` → ``(B, 1)``."""
        output: Tensor = self.output(F.leaky_relu(self.features(features) + self.condition(given), 0.2))
        return output


class Projected(nn.Module):
    """The output moves with the inner product of features and an embedded condition."""

    def __init__(self, features: int, size: int) -> None:
        super().__init__()
        self.output, self.embedded = nn.Linear(features, 1), nn.Linear(size, features, bias=False)
        nn.init.normal_(self.embedded.weight, std=1 / math.sqrt(3 * features * size))  # both terms begin alike

    def forward(self, features: Tensor, given: Tensor) -> Tensor:
        """``(B, D)`` and ``(B, K)`` → ``(B, 1)``."""
        output: Tensor = self.output(features) + (self.embedded(given) * features).sum(1, keepdim=True)
        return output


class Auxiliary(nn.Module):
    """The output does not look at the condition, which :attr:`recognise` finds out: ``(B, D)`` → ``(B, K)``."""

    def __init__(self, features: int, size: int) -> None:
        super().__init__()
        self.output, self.recognise = nn.Linear(features, 1), nn.Linear(features, size)

    def forward(self, features: Tensor, given: Tensor) -> Tensor:  # noqa: ARG002 - that is the point
        """``(B, D)`` and ``(B, K)`` → ``(B, 1)``."""
        output: Tensor = self.output(features)
        return output


def head(condition: Condition | None, features: int, size: int) -> nn.Module:
    """What the condition asks for; without one, a linear layer."""
    if condition is None:
        return nn.Linear(features, 1)
    if condition == "acgan":
        return Auxiliary(features, size)
    return Projected(features, size) if condition == "projection" else Joined(features, size)
