"""A conditional generative adversarial network (Mirza and Osindero 2014): both players are told what an image is to be.

    min over G, max over D   E_(x,y) log σ(D(x, y)) + E_(z,y) log(1 − σ(D(G(z, y), y)))       equation 2

How D hears y is in :mod:`.heads`, what y is in :mod:`.conditions`; all else is as in :mod:`.technique`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import TYPE_CHECKING

from torch import Generator, Tensor, nn

from dlkit.errors import UsageError
from dlkit.metrics import Metrics
from dlkit.technique import Graph, GraphInput, OutputKind
from dlkit_builtin.gan.conditions import Conditions, complete
from dlkit_builtin.gan.game import samples
from dlkit_builtin.gan.networks import Discriminator
from dlkit_builtin.gan.technique import Gan

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.report import Picture
    from dlkit.run import Run
    from dlkit.runtime import Runtime


class Features(nn.Module):
    """What is exported with images in: the discriminator's features; whether an image is genuine it can only say of an
    image and a condition."""

    def __init__(self, discriminator: Discriminator) -> None:
        super().__init__()
        self.body = discriminator.body

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Pixels ``(B, C, H, W)`` → features ``(B, D)``."""
        return (self.body(2 * images - 1),)


class MakingTold(nn.Module):
    """What is exported with noise and labels in: the generator."""

    def __init__(self, generator: nn.Module, conditions: Conditions) -> None:
        super().__init__()
        self.generator, self.conditions = generator, conditions

    def forward(self, latent: Tensor, label: Tensor) -> tuple[Tensor]:
        """Noise ``(B, Z)``; int64 ``(B,)`` classes, or float32 ``(B, K)`` → pixels ``(B, C, H, W)``."""
        return (samples(self.generator, latent, self.conditions(label)),)


class Cgan(Gan):
    """See the module's docstring; capabilities: those of :class:`Gan`, and condition."""

    conditions: Conditions

    def train(self, data: ImageData, runtime: Runtime, run: Run) -> None:
        """Play with the training images whose labels are known.

        Raises:
            DataError: fewer than two have some.
        """
        train = complete(data.train, self.spec)
        self.conditions.learn(train)
        self.conditions = runtime.prepare(self.conditions)
        super().train(dataclasses.replace(data, train=train), runtime, run)

    def generate(self, count: int, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """New images, pixels ``(count, C, H, W)``.

        Args:
            count: how many.
            generator: of the noise, and of labels that are not given.
            labels: int64 ``(count,)`` classes, or float32 ``(count, K)`` as the data's targets are; None: those of
                training images drawn at random.
        """
        noise = self.draw(count, generator)
        return self.decode(noise, self.draw_labels(count, generator) if labels is None else labels)

    def draw_labels(self, count: int, generator: Generator) -> Tensor:
        """Those of training images drawn at random, as :meth:`generate` takes them."""
        return self.conditions.draw(count, generator)

    def decode(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Noise ``(B, Z)`` and labels, as :meth:`generate` takes them → pixels ``(B, C, H, W)``.

        Raises:
            UsageError: no labels.
        """
        if labels is None:
            raise UsageError("A conditional generator needs to be told what to make.", "Give `labels`.")
        return samples(self.generator.eval(), codes, self.conditions(labels))

    def evaluate(self, data: ImageData, runtime: Runtime) -> Metrics:
        """As :class:`Gan`, and whether images are what they were asked to be; see :mod:`dlkit.judging`."""
        from dlkit.judging import judge_classes, judge_conditions

        classes = judge_classes(self.generate, data, runtime, self.options)
        return super().evaluate(data, runtime) + classes + judge_conditions(self.generate, data, runtime, self.options)

    def pictures(self, data: ImageData, runtime: Runtime) -> Iterable[Picture]:
        """As :class:`Gan`, and what becomes of what it is told; see :mod:`.told_pictures`."""
        from dlkit_builtin.gan.told_pictures import told_pictures

        return chain([told_pictures(self, runtime)], super().pictures(data, runtime))

    def outputs(self) -> Mapping[str, OutputKind]:
        """The discriminator's features."""
        return {"features": "code"}

    def inference_module(self) -> nn.Module:
        """``forward(pixels) -> (features,)``."""
        return Features(self.discriminator).eval()

    def graphs(self) -> Mapping[str, Graph]:
        """The generator: noise and label → image."""
        latent = GraphInput("float32", (self.options.latent,), "noise, independent draws of N(0, 1)")
        if self.spec.target == "classes":
            label = GraphInput("int64", (), "the class's number")
        else:
            label = GraphInput("float32", (self.conditions.size,), ", ".join(self.spec.classes[:20]))

        def draw(count: int, generator: Generator) -> list[Tensor]:
            return [self.draw(count, generator), self.draw_labels(count, generator)]

        module = MakingTold(self.generator, self.conditions).eval()
        return {"generator": Graph(module, {"latent": latent, "label": label}, {"image": "image"}, draw)}
