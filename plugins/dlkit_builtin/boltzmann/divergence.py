"""Contrastive divergence: the update of a restricted Boltzmann machine (Hinton 2002; Tieleman 2008).

The gradient of log p(v) with respect to W is ⟨h vᵀ⟩ over the data less ⟨h vᵀ⟩ over the model. The second is estimated
at the end of a Gibbs chain of k steps: one that starts at the data (CD-k), or one that went on through all updates so
far (persistent CD). With D = (h⁺ᵀ v⁺ − h⁻ᵀ v⁻) / B, h the probabilities p(h = 1 | v) and v drawn, the
data's v too where it is given as probabilities (grey values),

    ΔW ← μ ΔW + D − λ W        W ← W + η ΔW        likewise the biases, without λ

with momentum μ, weight decay λ and rate η. A sparsity target p adds κ (p − q_j) to each h⁺_j, q_j a running mean of
unit j's activity: the gradient of the cross-entropy between p and q (Hinton 2010, section 11).

All of it happens in buffers that are made once: a step allocates nothing, and D is one matrix product with the rows of
v⁺, v⁻ below each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from dlkit.runtime.processes import Processes
from dlkit_builtin.boltzmann.machine import Machine
from dlkit_builtin.boltzmann.options import DivergenceOptions
from dlkit_builtin.boltzmann.products import Products

ACTIVITY_DECAY = 0.95
"""Of q over updates; Hinton 2010, section 11 has 0.9 to 0.99."""


class Draws:
    """Coin tosses ``(B, N)`` from probabilities, each with 16 random bits.

    PyTorch draws 64 bits on a CPU in hardly more time than the 24 of a uniform number, of which an update needs
    more than a thousand for each image. With 16 a probability is off by at most 2⁻¹⁶.

    Where processes share the rows, each draws for all of them, and takes its own.
    """

    def __init__(self, count: int, size: int, device: torch.device, rows: slice = slice(None)) -> None:
        self.on_cpu, self.rows = device.type == "cpu", rows
        self.all = torch.empty(count, size, device=device)
        self.uniform = self.all[rows]
        words = torch.empty(-(-count * size // 4), dtype=torch.int64, device=device)
        self.words, self.bits = words, words.view(torch.int16)[: count * size].view(count, size)

    def toss(self, probabilities: Tensor, generator: Generator, out: Tensor) -> None:
        """0 or 1 into ``out``, which may be ``probabilities`` itself."""
        if self.on_cpu:
            self.words.random_(-(2**63), None, generator=generator)
            self.uniform.copy_(self.bits[self.rows])  # −2¹⁵ … 2¹⁵ − 1
            torch.sub(probabilities, self.uniform, alpha=2.0**-16, out=out).gt_(0.5)
        else:
            self.all.uniform_(generator=generator)
            torch.lt(self.uniform, probabilities, out=out)

    def add_normal(self, mean: Tensor, generator: Generator, out: Tensor) -> None:
        """``mean`` and standard normal numbers into ``out``."""
        torch.add(mean, self.all.normal_(generator=generator)[self.rows], out=out)


@dataclass
class Workspace:
    """Buffers for this process's ``count`` images and its chains.

    Attributes:
        whole: images of the batch, over how many chains in all.
        rows, chain_rows: which of them are this process's.
        visible, hidden: v⁺ above v⁻, h⁺ above ∓h⁻: ``(count + chains, V)`` and ``(…, H)``.
        mean: E[v | h] of the chains.
        states: drawn h of the chains.
        divided: whether other processes have the other rows.
    """

    whole: tuple[int, int]
    rows: slice
    chain_rows: slice
    visible: Tensor
    hidden: Tensor
    mean: Tensor
    states: Tensor
    data_draws: Draws
    visible_draws: Draws
    hidden_draws: Draws
    divided: bool

    def __post_init__(self) -> None:
        chains, count = len(self.mean), self.rows.stop - self.rows.start
        self.balance = -self.whole[0] / self.whole[1]  # chains weigh as much as the data
        self.v_data, self.v_model = self.visible[:count], self.visible[count:]
        self.h_data, self.h_model = self.hidden[:count], self.hidden[count:]
        self.hidden_t = self.hidden.t()
        weights = self.hidden.new_ones(count + chains)
        self.ones = weights.clone()
        weights[count:] = self.balance
        self.signs = weights


class ContrastiveDivergence:
    """Updates a machine. All that an update changes besides the machine is in :attr:`state`.

    Args:
        machine: on its device already.
        options: k, chains, momentum, weight decay, sparsity.
        generator: of the chains' start.
        precision: of the matrix products, ``fp32`` or ``bf16``.
        processes: those that share the rows of a batch, and the chains.
    """

    def __init__(
        self,
        machine: Machine,
        options: DivergenceOptions,
        generator: Generator,
        precision: str = "fp32",
        processes: Processes | None = None,
    ) -> None:
        self.processes = processes or Processes()
        self.machine, self.options = machine, options
        self.weight = machine.weight.detach()
        self.products = Products(self.weight, precision)
        self.hidden_bias, self.visible_bias = machine.hidden_bias.detach(), machine.visible_bias.detach()
        self.state: dict[str, Tensor] = {}
        if options.momentum > 0:
            for name in ("weight", "hidden_bias", "visible_bias"):
                self.state[f"{name}_velocity"] = torch.zeros_like(getattr(self, name))
        if options.sparsity is not None:
            self.state["activity"] = torch.full_like(self.hidden_bias, options.sparsity)
        if options.persistent is not None:
            chance = self.hidden_bias.new_full((options.persistent, len(self.hidden_bias)), 0.5)
            self.state["chains"] = torch.bernoulli(chance, generator=generator)
        self.workspaces: dict[int, Workspace] = {}

    def update(self, visible: Tensor, rate: float, generator: Generator) -> Mapping[str, Tensor]:
        """One update from visible units ``(B, V)``; of Bernoulli units they are the probabilities of being on.

        Returns:
            ``reconstruction``: squared error per unit of the first reconstruction. With persistent chains, which
            reconstruct nothing, ``activity``: the mean of p(h = 1 | v).
        """
        space = self.workspaces.get(len(visible)) or self._workspace(len(visible))
        visible = visible[space.rows]
        self.products.begin()
        if self.machine.gaussian:
            space.v_data.copy_(visible)
        else:
            space.data_draws.toss(visible, generator, space.v_data)
        self._up(space.v_data, space.h_data)
        figures = self._negative(space, visible, generator)
        # ∓: so that the one product below subtracts, and weighs the chains to as much as the data
        space.h_model.mul_(space.balance)
        if self.options.sparsity is not None:
            self._sparsen(space, self.options.sparsity)
        if space.divided:
            return self._apply_together(space, rate, figures)
        self._apply(space, rate)
        return figures

    def _negative(self, space: Workspace, visible: Tensor, generator: Generator) -> Mapping[str, Tensor]:
        """Run the chains, to v⁻ and p(h = 1 | v⁻)."""
        chains = self.state.get("chains")
        if chains is None:
            space.hidden_draws.toss(space.h_data, generator, space.states)
        states = space.states if chains is None else chains[space.chain_rows]
        figures: Mapping[str, Tensor] = {}
        for step in range(self.options.cd):
            if step:
                space.hidden_draws.toss(space.h_model, generator, states)
            self.products.down(states, self.visible_bias, space.mean)
            if not self.machine.gaussian:
                space.mean.sigmoid_()
            if step == 0:
                figures = (
                    {"reconstruction": torch.nn.functional.mse_loss(space.mean, visible)}
                    if chains is None
                    else {"activity": space.h_data.mean()}
                )
            self._draw_visible(space, generator)
            self._up(space.v_model, space.h_model)
        if chains is not None:
            space.hidden_draws.toss(space.h_model, generator, states)
            if space.divided:
                chains.copy_(self.processes.whole(states, len(chains)))
        return figures

    def _up(self, visible: Tensor, out: Tensor) -> None:
        self.products.up(visible, self.hidden_bias, out).sigmoid_()

    def _draw_visible(self, space: Workspace, generator: Generator) -> None:
        if self.machine.gaussian:
            space.visible_draws.add_normal(space.mean, generator, space.v_model)
        else:
            space.visible_draws.toss(space.mean, generator, space.v_model)

    def _sparsen(self, space: Workspace, target: float) -> None:
        activity = self.state["activity"]
        mean = space.h_data.mean(0)
        if space.divided:
            mean.mul_(len(space.h_data) / space.whole[0])
            self.processes.total([mean])
        activity.lerp_(mean, 1 - ACTIVITY_DECAY)
        space.h_data.add_(target - activity, alpha=self.options.sparsity_cost)

    def _apply(self, space: Workspace, rate: float) -> None:
        scale, momentum, decay = 1 / space.whole[0], self.options.momentum, self.options.weight_decay
        add_outer = self.products.add_outer
        if momentum == 0:
            add_outer(self.weight, space.hidden, space.visible, beta=1 - rate * decay, alpha=rate * scale)
            self.hidden_bias.addmv_(space.hidden_t, space.ones, alpha=rate * scale)
            self.visible_bias.addmv_(space.visible.t(), space.signs, alpha=rate * scale)
            return
        velocity = self.state["weight_velocity"]
        add_outer(velocity, space.hidden, space.visible, beta=momentum, alpha=scale)
        if decay > 0:
            velocity.add_(self.weight, alpha=-decay)
        self.weight.add_(velocity, alpha=rate)
        velocity = self.state["hidden_bias_velocity"].addmv_(space.hidden_t, space.ones, beta=momentum, alpha=scale)
        self.hidden_bias.add_(velocity, alpha=rate)
        velocity = self.state["visible_bias_velocity"].addmv_(
            space.visible.t(), space.signs, beta=momentum, alpha=scale
        )
        self.visible_bias.add_(velocity, alpha=rate)

    def _apply_together(self, space: Workspace, rate: float, figures: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The same with D from all processes' rows; the figures of all rows."""
        scale, momentum, decay = 1 / space.whole[0], self.options.momentum, self.options.weight_decay
        gradient = torch.zeros_like(self.weight)
        self.products.add_outer(gradient, space.hidden, space.visible, beta=1, alpha=scale)
        of_hidden = torch.mv(space.hidden_t, space.ones) * scale
        of_visible = torch.mv(space.visible.t(), space.signs) * scale
        figures = {name: value * (len(space.h_data) * scale) for name, value in figures.items()}
        self.processes.total([gradient, of_hidden, of_visible, *figures.values()])
        if momentum == 0:
            self.weight.mul_(1 - rate * decay)
        for name, change in (("weight", gradient), ("hidden_bias", of_hidden), ("visible_bias", of_visible)):
            if momentum > 0:
                change = self.state[f"{name}_velocity"].mul_(momentum).add_(change)
                if decay > 0 and name == "weight":
                    change.add_(self.weight, alpha=-decay)
            getattr(self, name).add_(change, alpha=rate)
        return figures

    def _workspace(self, count: int) -> Workspace:
        """For batches of ``count``; there are two sizes of batch at most."""
        hidden, visible = self.weight.shape
        chains, device = self.options.persistent or count, self.weight.device
        # Too few rows to go round: each process computes them all.
        sharing = self.processes if min(count, chains) >= self.processes.count else Processes()
        mine, chained = sharing.share(count), sharing.share(chains)
        own, running = mine.stop - mine.start, chained.stop - chained.start
        rows = {size: torch.empty(own + running, size, device=device) for size in {hidden, visible}}
        self.workspaces[count] = space = Workspace(
            (count, chains),
            mine,
            chained,
            rows[visible],
            rows[hidden] if hidden != visible else torch.empty_like(rows[visible]),
            torch.empty(running, visible, device=device),
            torch.empty(running, hidden, device=device),
            Draws(count, visible, device, mine),
            Draws(chains, visible, device, chained),
            Draws(chains, hidden, device, chained),
            sharing.count > 1,
        )
        return space
