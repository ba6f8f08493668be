"""The stack: pixels → hidden layers → logits."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from dlkit.data.spec import DataSpec
from dlkit.layers import after, initialise
from dlkit.runtime import Normalize
from dlkit.supervised.objective import Objective
from dlkit_builtin.stacked.options import StackedOptions

if TYPE_CHECKING:
    from dlkit.runtime import Runtime


class Network(nn.Module):
    """Normalisation, hidden layers h = s(W x + b), the output layer.

    Attributes:
        shape: (C, H, W) of an image.
        hidden: each layer is weights, (batch norm,) activation(, dropout).
        size: units of the last one.
    """

    def __init__(self, options: StackedOptions, spec: DataSpec) -> None:
        super().__init__()
        self.shape = spec.shape
        self.normalize = Normalize(spec.normalization)
        self.objective = Objective(spec, options)
        self.hidden = nn.Sequential(
            *(
                nn.Sequential(nn.Linear(before, here), *after(here, options, maps=False))
                for before, here in pairwise((math.prod(spec.shape), *options.layers))
            )
        )
        self.size = options.layers[-1]
        self.output = nn.Linear(self.size, self.objective.outputs)

    @property
    def layers(self) -> list[nn.Sequential]:
        """The hidden layers, the first one first."""
        return [cast(nn.Sequential, layer) for layer in self.hidden]

    def inputs(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → what the first layer sees, ``(B, C · H · W)``."""
        normalized: Tensor = self.normalize(images)
        return normalized.flatten(1)

    def features(self, images: Tensor, depth: int | None = None) -> Tensor:
        """Pixels ``(B, C, H, W)`` → outputs of hidden layer ``depth`` (0: the pixels; None: the last), ``(B, D)``."""
        features: Tensor = self.hidden[:depth](self.inputs(images))
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → logits ``(B, K)``."""
        logits: Tensor = self.output(self.features(images))
        return logits


def weights_of(layer: nn.Sequential) -> nn.Linear:
    """W and b of a hidden layer."""
    return cast(nn.Linear, layer[0])


def random_network(options: StackedOptions, spec: DataSpec, runtime: Runtime) -> Network:
    """A network as training begins with, of other draws, in eval mode on the runtime's device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(runtime.derive("random layers"))
        network = Network(options, spec)
        initialise(network, options.init)
    return runtime.prepare(network).eval()
