"""The two-player game: one step of the discriminator and, now and then, one of the generator."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dlkit_builtin.gan.augmentation import Changes, draw_changes
from dlkit_builtin.gan.losses import discriminator_loss, generator_loss, squared_gradients, wgan_penalty
from dlkit_builtin.gan.networks import Discriminator
from dlkit_builtin.gan.options import GanOptions
from dlkit_builtin.gan.recipes import Recipe

if TYPE_CHECKING:
    from dlkit.runtime import Batch, Runtime

WARM_UP = 10
"""The moving average's decay is at most (1 + t) / (10 + t) after t updates, so that it forgets the random start."""


class Game:
    """Generator against discriminator.

    Args:
        generator, discriminator: on the runtime's device.
        options: what they play for.
        recipe: how.
        runtime: draws the noise, applies updates.

    Attributes:
        average: the generator's moving average.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: Discriminator,
        options: GanOptions,
        recipe: Recipe,
        runtime: Runtime,
    ) -> None:
        self.generator, self.discriminator = generator, discriminator
        self.options, self.recipe, self.runtime = options, recipe, runtime
        self.average = copy.deepcopy(generator).requires_grad_(False)
        self.of_generator = self._optimizer(generator, self.recipe.lr)
        self.of_discriminator = self._optimizer(discriminator, options.lr_discriminator or self.recipe.lr)
        self.steps = torch.zeros((), dtype=torch.int64)
        self.latest = torch.zeros((), device=runtime.device)  # the generator's loss: it is not in every step

    def _optimizer(self, network: nn.Module, rate: float) -> torch.optim.Optimizer:
        given: dict[str, Any] = {"lr": rate}
        if self.options.optimizer.lower().startswith("adam"):
            given["betas"] = self.recipe.betas
        return self.runtime.optimizer(network.parameters(), self.options, **given)

    def state(self) -> Mapping[str, Any]:
        """All that training changes, for ``runtime.fit``."""
        return {
            "generator": self.generator, "discriminator": self.discriminator, "average": self.average,
            "of_generator": self.of_generator, "of_discriminator": self.of_discriminator,
            "steps": self.steps, "latest": self.latest,
        }  # fmt: skip

    def step(self, batch: Batch) -> Mapping[str, Tensor]:
        """Train on a batch of genuine images."""
        figures = self._discriminate(2 * batch.images - 1)
        self.steps += 1
        if int(self.steps) % self.recipe.n_dis == 0:
            self.latest.copy_(self._generate(len(batch.images)))
            self._follow(int(self.steps) // self.recipe.n_dis)
        return {**figures, "generator_loss": self.latest.clone()}

    def noise(self, count: int) -> Tensor:
        """z ~ N(0, I), ``(count, Z)``."""
        device = self.runtime.device
        return torch.randn(count, self.options.latent, generator=self.runtime.rng, device=device)

    def _discriminate(self, genuine: Tensor) -> Mapping[str, Tensor]:
        with torch.no_grad():
            generated = self.generator(self.noise(len(genuine)))
        places = torch.rand(len(genuine), generator=self.runtime.rng, device=genuine.device)
        draws = self._changes(len(genuine)).draws, self._changes(len(genuine)).draws
        figures = self.runtime.update(
            self.of_discriminator, self._discriminator_loss, genuine, generated, places, *draws
        )
        return {f"discriminator_{name}" if name == "loss" else name: value for name, value in figures.items()}

    def _discriminator_loss(
        self, genuine: Tensor, generated: Tensor, places: Tensor, ours: Tensor, theirs: Tensor
    ) -> Mapping[str, Tensor]:
        options, kinds = self.options, self.options.diffaug
        genuine, generated = Changes(kinds, ours)(genuine), Changes(kinds, theirs)(generated)
        penalty: Tensor | float = 0.0
        if self.recipe.r1 > 0:
            of_genuine, squares = squared_gradients(self.discriminator, genuine)
            penalty = self.recipe.r1 / 2 * squares.mean()
        else:
            of_genuine = self.discriminator(genuine)
        of_generated = self.discriminator(generated)
        if options.loss == "wgan-gp":
            penalty = wgan_penalty(self.discriminator, genuine, generated, places)
        loss = discriminator_loss(options.loss, of_genuine.float(), of_generated.float(), options.smooth) + penalty
        return {"loss": loss, "d_genuine": of_genuine.mean(), "d_generated": of_generated.mean()}

    def _generate(self, count: int) -> Tensor:
        self.discriminator.requires_grad_(False)  # its gradients would be computed, and thrown away
        try:
            changes = self._changes(count)

            def loss(noise: Tensor, draws: Tensor) -> Tensor:
                images = Changes(changes.kinds, draws)(self.generator(noise))
                return generator_loss(self.options.loss, self.discriminator(images).float())

            return self.runtime.update(self.of_generator, loss, self.noise(count), changes.draws)["loss"]
        finally:
            self.discriminator.requires_grad_(True)

    def _changes(self, count: int) -> Changes:
        return draw_changes(self.options.diffaug, count, self.runtime.rng)

    @torch.no_grad()
    def _follow(self, updates: int) -> None:
        """Move the average towards the generator (Karras et al. 2018, section 5); buffers are copied."""
        decay = min(self.options.ema, (1 + updates) / (WARM_UP + updates)) if self.options.ema > 0 else 0.0
        torch._foreach_lerp_(list(self.average.parameters()), list(self.generator.parameters()), 1 - decay)
        for ours, theirs in zip(self.average.buffers(), self.generator.buffers(), strict=True):
            ours.copy_(theirs)


def samples(generator: Callable[[Tensor], Tensor], noise: Tensor) -> Tensor:
    """Noise ``(B, Z)`` → pixels ``(B, C, H, W)`` in [0, 1]."""
    return (generator(noise) + 1) / 2
