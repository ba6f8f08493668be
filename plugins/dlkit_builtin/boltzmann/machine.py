"""A restricted Boltzmann machine: its energy, its two conditionals, its free energy, its Gibbs chain.

Visible units v and hidden units h ∈ {0, 1}, joined by W and never among themselves, have the joint distribution
p(v, h) = exp(−E(v, h)) / Z with

    Bernoulli:  E(v, h) = −a·v − c·h − hᵀ W v,              v ∈ {0, 1}     (Hinton 2010, equation 1)
    Gaussian:   E(v, h) = ½ ‖v − a‖² − c·h − hᵀ W v,        v ∈ ℝ          (section 13.2, with σ = 1)

Units of one layer are independent given the other layer, which makes everything but Z easy:

    p(h_j = 1 | v) = σ(c_j + W_j·v)                                        (equation 7)
    p(v_i = 1 | h) = σ(a_i + hᵀ W_·i),   or   v_i | h ~ N(a_i + hᵀ W_·i, 1)  (equation 8)
    F(v) = −log Σ_h exp(−E(v, h)) = −a·v − Σ_j log(1 + exp(c_j + W_j·v)),   or with ½ ‖v − a‖² in place of −a·v
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

Samples = tuple[Tensor, Tensor]


class Machine(nn.Module):
    """V visible and H hidden units.

    Gaussian units see inputs less their mean over the training data, divided by one standard deviation for all of
    them, so that σ = 1 fits; both are buffers here.

    Attributes:
        weight: W, ``(H, V)``.
        hidden_bias: c, ``(H,)``.
        visible_bias: a, ``(V,)``.
        base: ``(V,)``, the visible biases with which W = 0 fits the data best: the independent-pixels model.
        center, scale: of Gaussian units, ``(V,)`` and scalar.
    """

    base: Tensor
    center: Tensor
    scale: Tensor

    def __init__(self, visible: int, hidden: int, *, gaussian: bool = False) -> None:
        super().__init__()
        self.gaussian = gaussian
        self.weight = nn.Parameter(torch.randn(hidden, visible) * 0.01)  # Hinton 2010, section 8.1
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))
        self.visible_bias = nn.Parameter(torch.zeros(visible))
        self.register_buffer("base", torch.zeros(visible))
        self.register_buffer("center", torch.zeros(visible))
        self.register_buffer("scale", torch.ones(()))

    def start_from(self, mean: Tensor, deviation: Tensor, count: int) -> None:
        """Set what is known before any learning: the biases of the independent-pixels model (Hinton 2010, section 8.1).

        Args:
            mean: of each input over the training data, ``(V,)``.
            deviation: root mean square of inputs less their mean, scalar.
            count: of the data; half an input that is on and half a one that is off are added to it, so that a unit
                that is never on has a finite bias.
        """
        with torch.no_grad():
            if self.gaussian:
                self.center.copy_(mean)
                self.scale.copy_(deviation if deviation > 0 else torch.ones(()))
            else:
                self.base.copy_(((mean * count + 0.5) / (count + 1)).logit())
                self.visible_bias.copy_(self.base)

    def units(self, inputs: Tensor) -> Tensor:
        """Inputs ``(B, …)`` → states of the visible units ``(B, V)``."""
        flat = inputs.flatten(1)
        return (flat - self.center) / self.scale if self.gaussian else flat

    def inputs(self, units: Tensor) -> Tensor:
        """The inverse of :meth:`units`, flat."""
        return units * self.scale + self.center if self.gaussian else units

    def hidden(self, visible: Tensor) -> Tensor:
        """p(h = 1 | v): ``(B, V)`` → ``(B, H)``."""
        return torch.sigmoid(F.linear(visible, self.weight, self.hidden_bias))

    def visible(self, hidden: Tensor) -> Tensor:
        """E[v | h]: ``(B, H)`` → ``(B, V)``."""
        activity = F.linear(hidden, self.weight.t(), self.visible_bias)
        return activity if self.gaussian else torch.sigmoid(activity)

    def free_energy(self, visible: Tensor) -> Tensor:
        """F(v): ``(B, V)`` → ``(B,)``."""
        hidden = F.softplus(F.linear(visible, self.weight, self.hidden_bias)).sum(1)
        if self.gaussian:
            return 0.5 * (visible - self.visible_bias).square().sum(1) - hidden
        return -(visible @ self.visible_bias) - hidden

    def draw_visible(self, hidden: Tensor, generator: Generator) -> Tensor:
        """v ~ p(v | h), same shapes as :meth:`visible`."""
        mean = self.visible(hidden)
        if self.gaussian:
            return mean + torch.randn(mean.shape, generator=generator, device=mean.device)
        return draw(mean, generator)

    def gibbs(self, visible: Tensor, steps: int, generator: Generator) -> Samples:
        """``steps`` times h ~ p(h | v), v ~ p(v | h), from ``(B, V)``.

        Returns:
            The last v, and the last h that it was drawn from.
        """
        hidden = visible.new_zeros(len(visible), len(self.hidden_bias))
        for _ in range(steps):
            hidden = draw(self.hidden(visible), generator)
            visible = self.draw_visible(hidden, generator)
        return visible, hidden

    def noise(self, count: int, generator: Generator) -> Tensor:
        """``(count, V)`` of the independent-pixels model: where chains begin."""
        if self.gaussian:
            return torch.randn(count, len(self.base), generator=generator, device=self.base.device)
        return draw(torch.sigmoid(self.base).expand(count, -1), generator)


def draw(probabilities: Tensor, generator: Generator) -> Tensor:
    """0 or 1, float32, each 1 with its probability."""
    uniform = torch.rand(probabilities.shape, generator=generator, device=probabilities.device)
    return (uniform < probabilities).to(probabilities.dtype)
