"""Small techniques to export: what the core must cope with, and nothing to learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from dlkit.data.spec import DataSpec
from dlkit.options import Options, option
from dlkit.technique import State


@dataclass(frozen=True, kw_only=True)
class FakeOptions(Options):
    """Fake"""

    code: int = option(5, "Size of the code.", min=1)


def fake_spec(pixel_type="uint8", channels=1, side=8):
    return DataSpec(
        source="/secret/place/data", name="data", channels=channels, height=side, width=side,
        pixel_type=pixel_type, classes=("zero", "=one", "two"), counts={"train": 3}, fingerprint="f" * 64,
    )  # fmt: skip


def fake_images(spec, count=20):
    """Not black and white only, different from one another."""
    generator = torch.Generator().manual_seed(7)
    raw = torch.randint(0, 256, (count, *spec.shape), generator=generator, dtype=torch.uint8)
    return raw if spec.pixel_type == "uint8" else raw.float() / 255


class Fake:
    """What the fakes share: a module, its state."""

    kinds: ClassVar[dict] = {}

    def __init__(self, options, spec):
        self.options, self.spec = options, spec
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.module = self.build(options, spec).eval()

    def outputs(self):
        return self.kinds

    def inference_module(self):
        return self.module

    def state(self):
        return State(self.module.state_dict(), {"kind": type(self).__name__})

    @classmethod
    def load(cls, state, options, spec):
        made = cls(options, spec)
        for parameter in made.module.parameters():  # so that only what was saved can make them equal
            nn.init.zeros_(parameter)
        made.module.load_state_dict(state.tensors)
        return made


class _ConvAutoencoder(nn.Module):
    def __init__(self, code, channels, side):
        super().__init__()
        quarter = side // 4
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(4 * quarter**2, code),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Linear(code, 4 * quarter**2), nn.Unflatten(1, (4, quarter, quarter)), nn.Upsample(scale_factor=2),
            nn.ConvTranspose2d(4, channels, 2, stride=2), nn.Sigmoid(),
        )  # fmt: skip
        self.encoder[1].running_mean.uniform_(-0.2, 0.2)
        self.encoder[1].running_var.uniform_(0.5, 2.0)

    def forward(self, pixels):
        code = self.encoder(pixels)
        return code, self.decoder(code)


class FakeAutoencoder(Fake):
    kinds: ClassVar = {"code": "code", "reconstruction": "image"}

    def build(self, options, spec):
        return _ConvAutoencoder(options.code, spec.channels, spec.height)


class _Classifier(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.linear = nn.Linear(shape[0] * shape[1] * shape[2], classes)

    def forward(self, pixels):
        return (self.linear(pixels.flatten(1)).softmax(1),)


class FakeClassifier(Fake):
    kinds: ClassVar = {"probabilities": "probabilities"}

    def build(self, options, spec):
        return _Classifier(spec.shape, len(spec.classes))


class _Bare(nn.Module):
    """Wraps a function of pixels."""

    def __init__(self, function):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.function = function

    def forward(self, pixels):
        return (self.function(pixels) * self.weight,)


def technique_of(function, kind="values", name="out"):
    """A technique whose model is ``function(pixels)``."""

    class Made(Fake):
        kinds: ClassVar = {name: kind}

        def build(self, options, spec):
            return _Bare(function)

    return Made
