"""Steps 1 to 4: layer upon layer, each on the frozen ones below it, then the output layer on top.

Source: Bengio, Lamblin, Popovici and Larochelle 2007, Greedy layer-wise training of deep networks; section 2.4 for
Boltzmann machines, 3.1 for autoencoders, 4 for layers that are trained with labels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from dlkit.discovery import registry
from dlkit.layers import initialise
from dlkit.layerwise import LayerTask, layer_phase, vectors
from dlkit.supervised.objective import known_rows, labelled
from dlkit.supervised.training import fit_labels
from dlkit_builtin.stacked.network import Network, weights_of
from dlkit_builtin.stacked.options import LEARNERS, RATES, RATES_OF_NUMBERS, StackedOptions

if TYPE_CHECKING:
    from dlkit.data import ImageData, Split
    from dlkit.run import Run
    from dlkit.runtime import Runtime

HEAD = "head"


@dataclass
class Pretraining:
    """One pass through the steps before fine-tuning.

    Args:
        network: what is trained, on the runtime's device; its objective has learned from the labels.
        data: all images of train teach layers that need no labels.
        options, runtime, run: of the training.
    """

    network: Network
    data: ImageData
    options: StackedOptions
    runtime: Runtime
    run: Run

    def layers(self) -> tuple[Split, Split]:
        """Steps 1 to 3: train each hidden layer on the outputs of those below, which are computed once.

        Returns:
            The last layer's outputs of train and val, as vectors (``(N, D, 1, 1)``).
        """
        supervised = self.options.pretrain == "supervised"
        train = labelled(self.data.train) if supervised else self.data.train
        self.network.eval()
        below = [through(self.network.inputs, split, self.runtime) for split in (train, labelled(self.data.val))]
        for number, layer in enumerate(self.network.layers, start=1):
            if supervised:
                self._with_labels(number, layer, *below)
            else:
                self._without_labels(number, layer, below[0])
            below = [through(_of_vectors(layer.eval()), split, self.runtime) for split in below]
        return below[0], below[1]

    def head(self, train: Split, val: Split) -> None:
        """Step 4: train the output layer on what :meth:`layers` gave, by the labels that there are."""
        options = dataclasses.replace(
            self.options, epochs=self.options.head_epochs, lr=self.options.head_lr,
            schedule_epochs=None,
        )  # fmt: skip
        head = nn.Sequential(nn.Flatten(), self.network.output)
        fit_labels(head, self.network.objective, train.subset(known_rows(train).nonzero()[:, 0]), val, options,
                   self.runtime, self.run, phase=HEAD)  # fmt: skip

    def _without_labels(self, number: int, layer: nn.Sequential, inputs: Split) -> None:
        options = self.options
        learn = registry().technique(LEARNERS[options.pretrain]).layer_learner()
        linear = weights_of(layer)
        binary = self.network.normalize.identity if number == 1 else options.activation == "sigmoid"
        task = LayerTask(
            phase=layer_phase(number),
            units=linear.out_features,
            activation=options.activation,
            options=self._layer_options(binary=binary),
            noise=f"{options.noise}:{options.noise_level}" if options.pretrain == "denoising" else None,
            binary=binary,
        )
        learned = learn(inputs, task, self.runtime, self.run)
        linear.load_state_dict(learned.state_dict())
        if options.batch_norm:
            _neutral(cast(nn.BatchNorm1d, layer[1]), self.runtime.collect(_of_vectors(linear), inputs))

    def _with_labels(self, number: int, layer: nn.Sequential, train: Split, val: Split) -> None:
        """The layer as the hidden one of a net whose output layer is thrown away afterwards (section 4)."""
        temporary = nn.Linear(weights_of(layer).out_features, self.network.objective.outputs)
        initialise(temporary, self.options.init)
        net = self.runtime.prepare(nn.Sequential(nn.Flatten(), layer, temporary)).train()
        fit_labels(net, self.network.objective, train, val, self._layer_options(), self.runtime, self.run,
                   phase=layer_phase(number))  # fmt: skip

    def _layer_options(self, *, binary: bool = True) -> StackedOptions:
        """The schedule's horizon is the phase's own, and what is not validated cannot be stopped early."""
        options = self.options
        rate = options.pretrain_lr or (RATES if binary else RATES_OF_NUMBERS)[options.pretrain]
        changed = dataclasses.replace(options, epochs=options.pretrain_epochs, lr=rate, schedule_epochs=None)
        if options.pretrain == "supervised":
            return changed
        return dataclasses.replace(changed, patience=None, weight_decay=0.0)


def through(function: Callable[[Tensor], Tensor], split: Split, runtime: Runtime) -> Split:
    """What frozen layers make of a split's images, ``(B, C, H, W)`` → ``(B, D)``, as vectors, computed once."""
    return vectors(split.name, runtime.collect(function, split), split.labels, split.targets)


def _of_vectors(module: nn.Module) -> Callable[[Tensor], Tensor]:
    return lambda images: module(images.flatten(1))


@torch.no_grad()
def _neutral(norm: nn.BatchNorm1d, sums: Tensor) -> None:
    """Let batch norm begin as the identity on these inputs ``(N, D)``, so that it does not undo what was learned."""
    variance, mean = torch.var_mean(sums.double(), 0, correction=0)
    norm.running_mean.copy_(mean)  # type: ignore[union-attr]
    norm.running_var.copy_(variance)  # type: ignore[union-attr]
    norm.bias.copy_(mean)
    norm.weight.copy_((variance + norm.eps).sqrt())
