"""Small stacks, a double for layer learners, and plain loops to compare with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from dlkit_builtin.stacked.options import StackedOptions
from dlkit_builtin.stacked.technique import Stacked
from torch import Tensor, nn
from torch.nn import functional as F

from dlkit.data import ImageData, Split
from dlkit.layerwise import LayerTask
from dlkit.options import RuntimeOptions
from dlkit.options.values import Duration
from dlkit.run import Run
from dlkit.runtime import Batch, Runtime


def options(**given: Any) -> StackedOptions:
    defaults: dict[str, Any] = {"layers": (12, 8), "epochs": 3, "batch_size": 20, "lr": 0.01}
    if given.get("pretrain", "denoising") != "none":
        defaults |= {"pretrain_epochs": 2, "head_epochs": 2}
    return StackedOptions(**defaults | {"checkpoint_every": Duration(0.0)} | given)


def runtime(seed: int = 3) -> Runtime:
    return Runtime(RuntimeOptions(device="cpu", seed=seed, threads=1))


def train(path: Path, data: ImageData, chosen: StackedOptions, seed: int = 3) -> tuple[Stacked, Run]:
    path.mkdir(exist_ok=True, parents=True)
    run, ours = Run(path), runtime(seed)
    torch.manual_seed(seed)
    technique = Stacked(chosen, data.spec)
    technique.train(data, ours, run)
    return technique, run


class Learner:
    """A linear autoencoder of one layer, which notes what it is asked to do."""

    def __init__(self) -> None:
        self.tasks: list[LayerTask] = []
        self.inputs: list[Tensor] = []
        self.learned: list[nn.Linear] = []

    def __call__(self, inputs: Split, task: LayerTask, runtime: Runtime, run: Run) -> nn.Linear:
        self.tasks.append(task)
        self.inputs.append(inputs.pixels().flatten(1))
        linear = nn.Linear(self.inputs[-1].shape[1], task.units)
        back = nn.Linear(task.units, self.inputs[-1].shape[1])
        both = nn.ModuleList([linear, back])
        optimizer = runtime.optimizer(both.parameters(), task.options)

        def step(batch: Batch) -> dict[str, Tensor]:
            flat = batch.images.flatten(1)
            return runtime.update(optimizer, lambda x: F.mse_loss(back(linear(x)), x), flat)

        runtime.fit(run, phase=task.phase, data=inputs, options=task.options,
                    state={"both": both, "optimizer": optimizer}, step=step)  # fmt: skip
        self.learned.append(linear)
        return linear


def plain_phase(
    net: nn.Module, inputs: Tensor, labels: Tensor, phase: str, epochs: int, lr: float, ours: Runtime, size: int = 20
) -> None:
    """A plain loop over the permutations of a phase; nothing is validated."""
    adam = torch.optim.Adam(net.parameters(), lr=lr, fused=True)
    for epoch in range(epochs):
        order = torch.randperm(len(inputs), generator=ours.generator("permutation", phase, epoch))
        for indices in order.split(size):
            adam.zero_grad()
            F.cross_entropy(net(inputs[indices]), labels[indices]).backward()
            adam.step()
