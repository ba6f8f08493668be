"""Transfer learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from torch import Tensor, nn

from dlkit.backbones import Backbone, Tap, build_backbone, restore_backbone
from dlkit.data.spec import DataSpec
from dlkit.features import extract
from dlkit.metrics import Metrics
from dlkit.probes.linear import fit_linear
from dlkit.supervised.classification import classification_metrics
from dlkit.technique import OutputKind, PhasePlan, State
from dlkit_builtin.transfer.network import Inference, Network
from dlkit_builtin.transfer.options import TransferOptions

if TYPE_CHECKING:
    from dlkit.data import ImageData, Split
    from dlkit.run import Run
    from dlkit.runtime import Runtime


class Transfer:
    """See the module's docstring; capabilities: classify, encode."""

    def __init__(self, options: TransferOptions, spec: DataSpec, backbone: Backbone | None = None) -> None:
        self.options = options
        self.spec = spec
        backbone = backbone or build_backbone(options)
        self.network = Network(backbone, [Tap("top")], nn.Linear(backbone.size, len(spec.classes)))

    def plan(self) -> Sequence[PhasePlan]:
        """No gradients."""
        return []

    def train(self, data: ImageData, runtime: Runtime, run: Run) -> None:  # noqa: ARG002
        """Fit the head on the training images' features."""
        runtime.prepare(self.network)
        features = self._features(data.train, runtime)
        labels = data.train.labels
        if labels is None:
            raise RuntimeError("transfer needs labels")
        known = labels.numpy() >= 0
        head = fit_linear(features[known], labels.numpy()[known], len(self.spec.classes), 1.0)
        self.network.head = runtime.prepare(head)

    def _features(self, split: Split, runtime: Runtime) -> np.ndarray:
        taps = self.network.taps
        found = extract(self.network.backbone.eval(), split, taps, runtime, self.options)
        return np.concatenate([found[tap] for tap in taps], 1)

    def evaluate(self, data: ImageData, runtime: Runtime) -> Metrics:
        """Figures on held-out images."""
        features = torch.from_numpy(self._features(data.held_out, runtime)).to(runtime.device)
        with torch.inference_mode():
            probabilities = self.network.head(features).softmax(1).cpu()
        return Metrics(tuple(classification_metrics(probabilities, data, runtime)))

    def encode(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → features ``(B, D)``."""
        return self.network.eval().features(images)

    def classify(self, images: Tensor) -> Tensor:
        """Pixels ``(B, C, H, W)`` → probabilities ``(B, K)``."""
        probabilities: Tensor = self.network.eval()(images).softmax(1)
        return probabilities

    def outputs(self) -> Mapping[str, OutputKind]:
        """Probabilities."""
        return {"probabilities": "probabilities"}

    def inference_module(self) -> nn.Module:
        """``forward(pixels) -> (probabilities,)``."""
        return Inference(self.network).eval()

    def state(self) -> State:
        """The whole network: the run needs nothing else."""
        return State(self.network.state_dict(), {"recipe": dict(self.network.backbone.origin.recipe)})

    @classmethod
    def load(cls, state: State, options: TransferOptions, spec: DataSpec) -> Self:
        """The inverse of :meth:`state`."""
        technique = cls(options, spec, restore_backbone(options, state.plain["recipe"]))
        technique.network.load_state_dict(dict(state.tensors))
        technique.network.eval()
        return technique
