"""mixup (Zhang et al. 2018, section 2): learn from x̃ = λ x_i + (1 − λ) x_j, with λ ~ Beta(α, α).

The target ỹ = λ y_i + (1 − λ) y_j enters as λ L(f(x̃), y_i) + (1 − λ) L(f(x̃), y_j), which is the same for cross-entropy
and defined for any loss; one λ per batch, and j a permutation of the batch, as in the authors' code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from dlkit.runtime import Runtime

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Mixed:
    """A batch of mixtures. Pass images, targets and partners to ``runtime.update`` as rows.

    Attributes:
        images: ``(B, C, H, W)``.
        targets, partners: of the first and the second image of each pair, with a row each.
        share: λ, float32 scalar.
    """

    images: Tensor
    targets: Tensor
    partners: Tensor
    share: Tensor

    def loss(self, loss: Loss, logits: Tensor, targets: Tensor, partners: Tensor) -> Tensor:
        """The loss of (some of) the mixtures; ``loss(logits, targets)`` is that of single images."""
        return self.share * loss(logits, targets) + (1 - self.share) * loss(logits, partners)


def mix(images: Tensor, targets: Tensor, alpha: float, generator: torch.Generator) -> Mixed:
    """Mix a batch with itself.

    Args:
        images: float32 ``(B, C, H, W)``.
        targets: ``(B,)`` or ``(B, K)``.
        alpha: positive; small: mostly one of the two images, 1: any share alike.
        generator: on the images' device; ``runtime.rng``.
    """
    # torch.distributions takes no generator; this is the function beneath its Beta.
    share = torch._sample_dirichlet(torch.full((2,), alpha, device=images.device), generator)[0]
    other = torch.randperm(len(images), generator=generator, device=images.device)
    return Mixed(torch.lerp(images[other], images, share), targets, targets[other], share)


def update_mixed(
    runtime: Runtime,
    optimizer: Optimizer,
    network: Callable[[Tensor], Tensor],
    loss: Loss,
    images: Tensor,
    targets: Tensor,
    alpha: float,
    finish: Callable[[Tensor], Tensor | Mapping[str, Tensor]] = lambda loss: loss,
) -> Mapping[str, Tensor]:
    """One update on mixtures of a batch's images, in place of ``runtime.update`` on the images.

    Args:
        runtime: whose ``rng`` draws them.
        optimizer: of the parameters that change.
        network: images → logits.
        loss: that of single images, from logits and targets.
        images, targets: of the batch.
        alpha: as :func:`mix`'s.
        finish: from the loss to what is minimised and recorded: penalties, more figures.
    """
    mixed = mix(images, targets, alpha, runtime.rng)

    def loss_of_mixtures(images: Tensor, first: Tensor, second: Tensor) -> Tensor | Mapping[str, Tensor]:
        return finish(mixed.loss(loss, network(images), first, second))

    return runtime.update(optimizer, loss_of_mixtures, mixed.images, mixed.targets, mixed.partners)
