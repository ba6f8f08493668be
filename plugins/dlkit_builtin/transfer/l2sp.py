"""L2-SP: weights are held near where they start, not near zero (Li, Grandvalet and Davoine 2018).

    Ω(w) = α/2 ‖w_S − w⁰_S‖² + β/2 ‖w_H‖²                                                        equation 4

with w_S the pretrained weights, w⁰_S where they start, and w_H the head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dlkit_builtin.transfer.network import Network


class Anchor:
    """Where the pretrained weights start. Make it before any training: ``fit`` restores weights on resume.

    Args:
        network: on its device.
        alpha, beta: of the formula.
    """

    def __init__(self, network: Network, alpha: float, beta: float) -> None:
        self.alpha, self.beta = alpha, beta
        self._network = network
        self._start = {p: p.detach().clone() for p in network.backbone.network.parameters()}

    def penalty(self) -> Tensor:
        """Ω over the parameters that train; scalar."""
        held = [(p, start) for p, start in self._start.items() if p.requires_grad]
        distance = _sum([(p - start).square().sum() for p, start in held], self._network)
        return self.alpha / 2 * distance + self.beta / 2 * _sum(
            [p.square().sum() for p in self._network.head.parameters()], self._network
        )


def _sum(terms: list[Tensor], module: nn.Module) -> Tensor:
    if terms:
        return torch.stack(terms).sum()
    return torch.zeros((), device=next(module.parameters()).device)
