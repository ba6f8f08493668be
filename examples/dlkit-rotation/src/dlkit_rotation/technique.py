"""Rotation prediction (Gidaris, Singh and Komodakis 2018, section 2).

An image x turned by y quarter turns is g(x | y), y = 0, 1, 2, 3. The network F gives a probability to each of the
four, and is trained on the images themselves, without labels, to minimise the mean over images of

    loss(x) = −¼ Σ_y log F_y(g(x | y))
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlkit.data import DataSpec
from dlkit.errors import DataError, UsageError
from dlkit.metrics import Metrics
from dlkit.runtime import Normalize
from dlkit.technique import OutputKind, PhasePlan, State
from dlkit_rotation.plugin import RotationOptions

if TYPE_CHECKING:
    from dlkit.data import ImageData, Split
    from dlkit.report import Picture
    from dlkit.run import Run
    from dlkit.runtime import Batch, Runtime

PHASE = "rotation"


class Network(nn.Module):
    """Pixels ``(B, C, S, S)`` → logits of the four orientations ``(B, 4)`` and code ``(B, Z)``.

    The code is what an inner stage sees, averaged over at most 4 × 4 cells: the last stages know about orientation,
    the inner ones about what is in the picture (the paper's table 1).
    """

    def __init__(self, options: RotationOptions, spec: DataSpec) -> None:
        super().__init__()
        self.normalize = Normalize(spec.normalization)
        widths = [options.width * 2**stage for stage in range(options.stages)]
        pairs = zip([spec.channels, *widths], widths, strict=False)
        self.stages = nn.ModuleList(nn.Sequential(*conv(a, b), *conv(b, b), nn.MaxPool2d(2)) for a, b in pairs)
        self.head = nn.Linear(widths[-1], 4)
        self.code_stage = options.code_stage
        cells = spec.height // 2**options.code_stage
        self.pool = nn.AvgPool2d(math.ceil(cells / 4), ceil_mode=True)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.normalize(images)
        for number, stage in enumerate(self.stages, start=1):
            maps = stage(maps)  # (B, width, S / 2, S / 2), …
            if number == self.code_stage:
                code = self.pool(maps).flatten(1)
        return self.head(maps.mean((2, 3))), code


def conv(channels: int, width: int) -> list[nn.Module]:
    """A 3 × 3 convolution, batch normalisation, ReLU."""
    return [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]


class Answer(nn.Module):
    """The network as it is used: probabilities instead of logits."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits, code = self.network(images)
        return logits.softmax(1), code


def all_turns(images: Tensor) -> tuple[Tensor, Tensor]:
    """``(B, C, S, S)`` → the images in all four orientations ``(4 B, C, S, S)``, and their quarter turns ``(4 B,)``."""
    turned = torch.cat([images.rot90(turns, (2, 3)) for turns in range(4)])
    return turned, torch.arange(4, device=images.device).repeat_interleave(len(images))


def one_turn(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """``(B, C, S, S)`` → each image in an orientation drawn at random, same shape, and its quarter turns ``(B,)``."""
    turned, _ = all_turns(images)
    turns = torch.randint(4, (len(images),), generator=generator, device=images.device)
    return turned[turns * len(images) + torch.arange(len(images), device=images.device)], turns


def accuracy(logits: Tensor, turns: Tensor) -> Tensor:
    """How often the most probable orientation is the right one; a scalar."""
    return (logits.argmax(1) == turns).float().mean()


class Rotation:
    """See the module's docstring; capability: encode (images → codes)."""

    def __init__(self, options: RotationOptions, spec: DataSpec) -> None:
        if spec.height != spec.width:
            raise DataError(
                f"The images are {spec.height} × {spec.width}; only square ones keep their shape when turned.",
                f"Use --image-size {min(spec.height, spec.width)}.",
            )
        if spec.height < 2**options.stages:
            raise UsageError(
                f"--stages {options.stages} halves the image so often that nothing is left of {spec.height} pixels.",
                f"Use --stages {spec.height.bit_length() - 1} or fewer, or a larger --image-size.",
            )
        self.options = options
        self.spec = spec
        self.network = Network(options, spec)

    def plan(self) -> Sequence[PhasePlan]:
        return [PhasePlan(PHASE, self.options.epochs, {"network": self.network})]

    def train(self, data: ImageData, runtime: Runtime, run: Run) -> None:
        network = runtime.prepare(self.network)
        optimizer = runtime.optimizer(network.parameters(), self.options)

        def step(batch: Batch) -> Mapping[str, Tensor]:
            one = self.options.turns == "one"
            images, turns = one_turn(batch.images, runtime.rng) if one else all_turns(batch.images)
            return runtime.update(optimizer, self.loss, images, turns)

        def validate() -> Mapping[str, float]:
            logits, turns = self.answers(data.val, runtime)
            return {"loss": float(F.cross_entropy(logits, turns)), "accuracy": float(accuracy(logits, turns))}

        runtime.fit(
            run,
            phase=PHASE,
            data=data.train,
            options=self.options,
            state={"network": network, "optimizer": optimizer},
            step=step,
            validate=validate if len(data.val) else None,
            independent=False,  # batch normalisation
        )

    def loss(self, images: Tensor, turns: Tensor) -> Mapping[str, Tensor]:
        """Turned images ``(B, C, S, S)`` and their quarter turns ``(B,)`` → the loss, and how often it is right."""
        logits, _ = self.network(images)
        return {"loss": F.cross_entropy(logits, turns), "accuracy": accuracy(logits, turns)}

    def answers(self, split: Split, runtime: Runtime) -> tuple[Tensor, Tensor]:
        """All images in all four orientations: logits ``(4 N, 4)`` and quarter turns ``(4 N,)``, on the CPU."""
        self.network.eval()
        parts = []
        with runtime.inference():
            for batch in runtime.batches(split, 250):
                images, quarters = all_turns(batch.images)
                parts.append((self.network(images)[0].float().cpu(), quarters.cpu()))
        logits, turns = zip(*parts, strict=True)
        return torch.cat(logits), torch.cat(turns)

    def encode(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, S, S)`` → codes ``(B, Z)``."""
        code: Tensor = self.network.eval()(images)[1]
        return code

    def evaluate(self, data: ImageData, runtime: Runtime) -> Metrics:
        from dlkit_rotation.evaluation import evaluate

        return evaluate(self, data, runtime)

    def pictures(self, data: ImageData, runtime: Runtime) -> Iterable[Picture]:
        from dlkit_rotation.evaluation import pictures

        return pictures(self, data, runtime)

    def outputs(self) -> Mapping[str, OutputKind]:
        return {"rotation": "values", "code": "code"}  # not "probabilities", which are over the data's classes

    def inference_module(self) -> nn.Module:
        return Answer(self.network).eval()

    def state(self) -> State:
        return State(self.network.state_dict())

    @classmethod
    def load(cls, state: State, options: RotationOptions, spec: DataSpec) -> Self:
        technique = cls(options, spec)
        technique.network.load_state_dict(dict(state.tensors))
        technique.network.eval()
        return technique
