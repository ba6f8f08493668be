"""A tiny backbone, drawn features, and a technique whose head is fitted on them."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from dlkit.data.spec import DataSpec
from dlkit.display import Progress
from dlkit.probes.targets import Targets

DIMENSIONS = 24


def silent(*_):
    from contextlib import nullcontext

    return nullcontext(Progress())


def drawn(count=150, classes=3, seed=0, dimensions=DIMENSIONS):
    """Features of overlapping classes with means and scales that need standardising, float32, and labels."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = random.normal(size=(classes, dimensions))
    features = centres[labels] + 1.5 * random.normal(size=(count, dimensions))
    return (features * random.uniform(0.1, 5, dimensions) + 3).astype(np.float32), labels


def class_targets(labels, classes=None):
    return Targets("classes", np.asarray(labels), classes or int(max(labels)) + 1)


def number_targets(values):
    values = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    return Targets("number", values, values.shape[1])


def fitted_head(features, targets, seed=0, **options):
    """The head, and what it was made from."""
    from dlkit_builtin.features.fitting import fit
    from dlkit_builtin.features.head import make_head
    from dlkit_builtin.features.options import FeaturesOptions

    made = fit(FeaturesOptions(**options), features, targets, seed, silent)
    return make_head(made, features, targets.outputs, classes=targets.kind == "classes"), made


def outputs_of(head, features):
    with torch.inference_mode():
        return head(torch.from_numpy(features)).numpy()


def small_spec(target="classes", classes=("a", "b", "c"), channels=3, side=32):
    return DataSpec(source="drawn", name="drawn", channels=channels, height=side, width=side, target=target,
                    classes=classes, counts={"train": 60})  # fmt: skip


def raw_images(count, spec, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 256, (count, spec.channels, 4, 4), generator=generator, dtype=torch.uint8)
    return coarse.repeat_interleave(spec.height // 4, 2).repeat_interleave(spec.width // 4, 3)


class Plain(nn.Module):
    """A drawn linear map in the place of the backbones, so that exports take no time."""

    def __init__(self, spec):
        super().__init__()
        size = spec.channels * spec.height * spec.width
        self.register_buffer("weight", torch.randn(DIMENSIONS, size, generator=torch.Generator().manual_seed(0)))

    def forward(self, images):
        return images.flatten(1) @ self.weight.T


def plain_technique_with(targets, spec, **options):
    """The technique with :class:`Plain` in the place of its inputs, its head fitted on the features of drawn images."""
    from dlkit_builtin.features.options import FeaturesOptions
    from dlkit_builtin.features.technique import Features, Model

    inputs = Plain(spec)
    features = inputs(raw_images(len(targets), spec).float() / 255).numpy()
    technique = object.__new__(Features)
    technique.options, technique.spec = FeaturesOptions(**options), spec
    technique.model = Model(inputs, fitted_head(features, targets, **options)[0]).eval()
    return technique


def technique_with(targets, spec, **options):
    """A technique over a random resnet10t, whose head is fitted on the features of drawn images."""
    from dlkit_builtin.features.options import FeaturesOptions
    from dlkit_builtin.features.technique import Features

    torch.manual_seed(0)
    made = FeaturesOptions(backbone=("resnet10t",), random_init=True, **options)
    technique = Features(made, spec)
    with torch.inference_mode():
        features = technique.model.inputs(raw_images(len(targets), spec).float() / 255).numpy()
    head, _ = fitted_head(features, targets, **options)
    technique.model.head = head
    return technique
