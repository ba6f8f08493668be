"""The two-player game: one step of the discriminator and, now and then, one of the generator."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dlkit_builtin.gan.augmentation import Changes, draw_changes
from dlkit_builtin.gan.conditions import Conditions
from dlkit_builtin.gan.heads import Auxiliary
from dlkit_builtin.gan.losses import (
    generated_loss,
    generator_loss,
    genuine_loss,
    squared_gradients,
    wgan_penalty,
)
from dlkit_builtin.gan.networks import Discriminator
from dlkit_builtin.gan.options import CganOptions, GanOptions
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
        conditions: what both are told of the images, or None.

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
        conditions: Conditions | None = None,
    ) -> None:
        self.generator, self.discriminator, self.conditions = generator, discriminator, conditions
        self.options, self.recipe, self.runtime = options, recipe, runtime
        self.condition = options.condition if isinstance(options, CganOptions) else None
        self.average = copy.deepcopy(generator).requires_grad_(False)
        self.of_generator = self._optimizer(generator, self.recipe.lr)
        self.of_discriminator = self._optimizer(discriminator, self.recipe.lr_discriminator)
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
        labels = batch.labels if batch.targets is None else batch.targets
        given = None if self.conditions is None else self.conditions(labels)
        figures = self._discriminate(2 * batch.images - 1, given)
        self.steps += 1
        if int(self.steps) % self.recipe.n_dis == 0:
            self.latest.copy_(self._generate(len(batch.images), given))
            self._follow(int(self.steps) // self.recipe.n_dis)
        return {**figures, "generator_loss": self.latest.clone()}

    def noise(self, count: int) -> Tensor:
        """z ~ N(0, I), ``(count, Z)``."""
        device = self.runtime.device
        return torch.randn(count, self.options.latent, generator=self.runtime.rng, device=device)

    def _discriminate(self, genuine: Tensor, given: Tensor | None) -> Mapping[str, Tensor]:
        with torch.no_grad():
            generated = make(self.generator, self.noise(len(genuine)), given)
        places = torch.rand(len(genuine), generator=self.runtime.rng, device=genuine.device)
        draws = self._changes(len(genuine)).draws, self._changes(len(genuine)).draws
        figures = self.runtime.update(
            self.of_discriminator, self._discriminator_loss, genuine, generated, given, places, *draws
        )
        return {f"discriminator_{name}" if name == "loss" else name: value for name, value in figures.items()}

    def _discriminator_loss(
        self, genuine: Tensor, generated: Tensor, given: Tensor | None, places: Tensor, ours: Tensor, theirs: Tensor
    ) -> Mapping[str, Tensor]:
        """The generated images were asked for by the genuine ones' conditions."""
        options, kinds, judge = self.options, self.options.diffaug, self.discriminator.judge
        genuine, generated = Changes(kinds, ours)(genuine), Changes(kinds, theirs)(generated)
        if self.recipe.r1 > 0:
            genuine = genuine.detach().requires_grad_()
        features, their_features = self.discriminator.body(genuine), self.discriminator.body(generated)
        of_genuine, of_generated = judge(features, given).float(), judge(their_features, given).float()
        loss = genuine_loss(options.loss, of_genuine, options.smooth).mean()
        figures = {"d_genuine": of_genuine.mean(), "d_generated": of_generated.mean()}
        of_others = generated_loss(options.loss, of_generated).mean()
        if given is not None and self.condition == "matching":
            wrong, figures["d_wrong"] = self._mismatched(features, given)
            of_others = (of_others + wrong) / 2
        loss = loss + of_others
        if self.recipe.r1 > 0:
            loss = loss + self.recipe.r1 / 2 * squared_gradients(of_genuine, genuine).mean()
        if options.loss == "wgan-gp":
            loss = loss + wgan_penalty(lambda x: self.discriminator(x, given), genuine, generated, places)
        if given is not None and self.condition == "acgan":
            figures["recognition"] = self._recognition(features, given)
            loss = loss + figures["recognition"] + self._recognition(their_features, given)
        return {"loss": loss, **figures}

    def _mismatched(self, features: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """Genuine images with another one's condition count as generated (Reed et al. 2016, algorithm 1): the loss,
        and the mean output. Where the other one's condition happens to be the same, the pair is left out."""
        others = given.roll(1, 0)  # the order within a batch is random
        differ = (given != others).any(1).float()
        outputs = self.discriminator.judge(features, others).float()
        count = differ.sum().clamp(min=1)
        loss = (generated_loss(self.options.loss, outputs) * differ).sum() / count
        return loss, (outputs * differ).sum() / count

    def _recognition(self, features: Tensor, given: Tensor) -> Tensor:
        """How wrong the discriminator is about what the images were told to be (Odena et al. 2017, equation 3)."""
        assert isinstance(self.discriminator.output, Auxiliary)  # noqa: S101
        assert self.conditions is not None  # noqa: S101
        return self.conditions.recognition(self.discriminator.output.recognise(features).float(), given)

    def _generate(self, count: int, given: Tensor | None) -> Tensor:
        self.discriminator.requires_grad_(False)  # its gradients would be computed, and thrown away
        try:
            changes = self._changes(count)
            return self.runtime.update(
                self.of_generator, self._generator_loss, self.noise(count), given, changes.draws
            )["loss"]
        finally:
            self.discriminator.requires_grad_(True)

    def _generator_loss(self, noise: Tensor, given: Tensor | None, draws: Tensor) -> Tensor:
        images = Changes(self.options.diffaug, draws)(make(self.generator, noise, given))
        features = self.discriminator.body(images)
        loss = generator_loss(self.options.loss, self.discriminator.judge(features, given).float())
        if given is not None and self.condition == "acgan":
            loss = loss + self._recognition(features, given)
        return loss

    def _changes(self, count: int) -> Changes:
        return draw_changes(self.options.diffaug, count, self.runtime.rng)

    @torch.no_grad()
    def _follow(self, updates: int) -> None:
        """Move the average towards the generator (Karras et al. 2018, section 5); buffers are copied."""
        decay = min(self.options.ema, (1 + updates) / (WARM_UP + updates)) if self.options.ema > 0 else 0.0
        torch._foreach_lerp_(list(self.average.parameters()), list(self.generator.parameters()), 1 - decay)
        for ours, theirs in zip(self.average.buffers(), self.generator.buffers(), strict=True):
            ours.copy_(theirs)


def make(generator: nn.Module, noise: Tensor, given: Tensor | None) -> Tensor:
    """Noise ``(B, Z)``, and conditions ``(B, K)`` where the generator hears some → images in [−1, 1]."""
    images: Tensor = generator(noise) if given is None else generator(noise, given)
    return images


def samples(generator: nn.Module, noise: Tensor, given: Tensor | None = None) -> Tensor:
    """The same as pixels ``(B, C, H, W)`` in [0, 1]."""
    return (make(generator, noise, given) + 1) / 2
