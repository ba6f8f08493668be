"""A generative adversarial network (Goodfellow et al. 2014): a generator makes images from noise, a discriminator tells
them from genuine ones, and each learns from the other's success.

    min over G, max over D   E_x log σ(D(x)) + E_z log(1 − σ(D(G(z))))       equation 1; others in :mod:`.losses`

Networks are in :mod:`.networks`, the published settings of each combination in :mod:`.recipes`, the steps in
:mod:`.game`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Generator, Tensor, nn

from dlkit.data.spec import DataSpec
from dlkit.errors import UsageError
from dlkit.metrics import Metrics
from dlkit.run.reading import read_rows
from dlkit.runtime.batches import cut
from dlkit.technique import Graph, GraphInput, OutputKind, PhasePlan, State
from dlkit_builtin.gan.conditions import Conditions
from dlkit_builtin.gan.game import Game, samples
from dlkit_builtin.gan.networks import Discriminator, build
from dlkit_builtin.gan.options import CganOptions, GanOptions
from dlkit_builtin.gan.recipes import recipe
from dlkit_builtin.gan.snapshots import PAIRS, Watch, comparable, kept, write_over_time

if TYPE_CHECKING:
    from dlkit.data import ImageData
    from dlkit.report import Picture
    from dlkit.run import Run
    from dlkit.runtime import Runtime

PHASE = "adversarial"
UPDATES = 3_000
"""Of the generator, where ``--epochs`` is not given."""
SIDES = (8, 128)


class Inference(nn.Module):
    """What is exported with images in: the discriminator's features and its output."""

    def __init__(self, discriminator: Discriminator) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels ``(B, C, H, W)`` → features ``(B, D)``, D(x) ``(B, 1)``."""
        features = self.discriminator.body(2 * images - 1)
        return features, self.discriminator.output(features)


class Making(nn.Module):
    """What is exported with noise in: the generator."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, latent: Tensor) -> tuple[Tensor]:
        """Noise ``(B, Z)`` → pixels ``(B, C, H, W)``."""
        return (samples(self.generator, latent),)


class Gan:
    """See the module's docstring; capabilities: generate, draw, and encode by the discriminator's features.

    Attributes:
        generator: the moving average after training.
        discriminator: its last state.
        recipe: how they are trained.
        conditions: what both are told of images; None: nothing.
        over_time: epoch → samples from the same noise, ``(n, C, H, W)``; only where training was just now.
        course: a row of figures for each epoch; likewise.
    """

    def __init__(self, options: GanOptions, spec: DataSpec) -> None:
        if not all(SIDES[0] <= side <= SIDES[1] for side in (spec.height, spec.width)):
            raise UsageError(
                f"Images are {spec.height} x {spec.width} pixels; gan takes {SIDES[0]} to {SIDES[1]} a side.",
                "Choose another --image-size, 64 for instance.",
            )
        self.options, self.spec = options, spec
        self.recipe = recipe(options, spec.height * spec.width)
        self.over_time: Mapping[int, Tensor] = {}
        self.course: Sequence[Mapping[str, Any]] = ()
        told = options.condition if isinstance(options, CganOptions) else None
        self.conditions = None if told is None else Conditions(spec)
        self.generator, self.discriminator = build(
            options.net, spec.shape, options.latent, options.width, spectral=self.recipe.spectral_norm,
            condition=told, size=len(spec.classes),
        )  # fmt: skip

    def plan(self) -> Sequence[PhasePlan]:
        """One phase."""
        networks = {"generator": self.generator, "discriminator": self.discriminator}
        return [PhasePlan(PHASE, self._epochs(self.spec.counts["train"]), networks)]

    def _epochs(self, images: int) -> int:
        """``--epochs``, or what makes :data:`UPDATES` of the generator."""
        return self.options.epochs or math.ceil(UPDATES * self.recipe.n_dis / self._steps(images))

    def _steps(self, images: int) -> int:
        """Of an epoch: the batches that ``fit`` makes where samples depend on each other."""
        return max(1, len(cut(images, self.options.batch_size, merge_single=True)))

    def train(self, data: ImageData, runtime: Runtime, run: Run) -> None:
        """Play; the generator's moving average is kept. ``data.val`` is not looked at."""
        epochs = self._epochs(len(data.train))
        options = dataclasses.replace(self.options, lr=self.recipe.lr, epochs=epochs)
        game = Game(runtime.prepare(self.generator), runtime.prepare(self.discriminator), options,
                    self.recipe, runtime, self.conditions)  # fmt: skip
        for network in (game.generator, game.discriminator, game.average):
            network.train()
        steps = self._steps(len(data.train))
        shown = self.examples(PAIRS)
        told = None if shown is None or self.conditions is None else self.conditions(shown)
        classes = shown.cpu() if shown is not None and self.spec.target == "classes" else None
        watch = Watch(
            lambda noise: samples(game.average.eval(), noise, told),
            comparable(data.train, classes),
            lambda: math.ceil(int(game.steps) / steps),
            epochs, options.latent, runtime, run, classes,
        )  # fmt: skip
        runtime.fit(
            run,
            phase=PHASE,
            data=data.train,
            options=options,
            state=game.state(),
            step=game.step,
            validate=watch,
            monitor=None,
            independent=False,  # the generator's batch norm
        )
        self.generator, self.discriminator = game.average.eval(), game.discriminator.eval()
        self.over_time = kept(watch.folder, self.spec.width)
        write_over_time(self.over_time, watch.folder / "over-time.gif")
        self.course = [row for row in read_rows(run.path / "metrics.jsonl") if row.get("phase") == PHASE]

    def examples(self, count: int) -> Tensor | None:
        """Labels to ask for, the same ones each time, as ``decode`` takes them; None where it takes none."""
        return None if self.conditions is None else self.conditions.examples(count)

    def evaluate(self, data: ImageData, runtime: Runtime) -> Metrics:
        """See :mod:`dlkit.judging`."""
        from dlkit.judging import judge

        return judge(self.generate, data, runtime, self.options)

    def pictures(self, data: ImageData, runtime: Runtime) -> Iterable[Picture]:
        """See :mod:`dlkit_builtin.gan.pictures`."""
        from dlkit_builtin.gan.pictures import pictures

        return pictures(self, data, runtime)

    def generate(self, count: int, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """New images, pixels ``(count, C, H, W)``; ``labels`` are not asked for."""
        return self.decode(self.draw(count, generator), labels)

    def draw(self, count: int, generator: Generator) -> Tensor:
        """Noise z ~ N(0, I), ``(count, Z)``."""
        return torch.randn(count, self.options.latent, generator=generator, device=generator.device)

    def decode(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:  # noqa: ARG002 - none are asked for
        """Noise ``(B, Z)`` → pixels ``(B, C, H, W)``."""
        return samples(self.generator.eval(), codes)

    def encode(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → the discriminator's features ``(B, D)``."""
        features: Tensor = self.discriminator.eval().body(2 * images - 1)
        return features

    def outputs(self) -> Mapping[str, OutputKind]:
        """The discriminator's features and output."""
        return {"features": "code", "genuine": "values"}

    def inference_module(self) -> nn.Module:
        """``forward(pixels) -> (features, D(x))``."""
        return Inference(self.discriminator).eval()

    def graphs(self) -> Mapping[str, Graph]:
        """The generator: noise → image."""
        latent = GraphInput("float32", (self.options.latent,), "noise, independent draws of N(0, 1)")

        def draw(count: int, generator: Generator) -> list[Tensor]:
            return [self.draw(count, generator)]

        return {"generator": Graph(Making(self.generator).eval(), {"latent": latent}, {"image": "image"}, draw)}

    def _parts(self) -> Mapping[str, nn.Module]:
        """All that is learned."""
        parts: dict[str, nn.Module] = {"generator": self.generator, "discriminator": self.discriminator}
        return parts if self.conditions is None else {**parts, "conditions": self.conditions}

    def state(self) -> State:
        """Both networks, and what they are told of images."""
        parts = self._parts().items()
        return State({f"{name}.{key}": value for name, part in parts for key, value in part.state_dict().items()})

    @classmethod
    def load(cls, state: State, options: GanOptions, spec: DataSpec) -> Self:
        """The inverse of :meth:`state`."""
        technique = cls(options, spec)
        for name, part in technique._parts().items():
            keys = [key for key in state.tensors if key.startswith(f"{name}.")]
            part.load_state_dict({key.removeprefix(f"{name}."): state.tensors[key] for key in keys})
            part.eval()
        return technique
