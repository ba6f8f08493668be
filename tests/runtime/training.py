"""A small training with everything in it that a resume can get wrong."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from runtime_fakes import FakeRun, FakeSplit
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from dlkit.augment import Policy
from dlkit.augment.training import Augmentation
from dlkit.errors import Interrupted
from dlkit.options import RuntimeOptions, TrainOptions
from dlkit.options.values import Duration, Schedule
from dlkit.runtime import Batch, FitResult, Runtime
from dlkit.runtime.signals import interruptible


class Net(nn.Module):
    """Convolution in channels_last, batch norm (buffers), dropout (PyTorch's own generator)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.1), nn.Linear(4 * 36, 2 * 36))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(F.relu(self.norm(self.conv(x))))
        return out


def images(count: int, seed: int) -> Tensor:
    return torch.randint(0, 256, (count, 2, 6, 6), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def train(
    path: Path,
    *,
    epochs: int = 4,
    every: float = 1e-9,  # after each step
    before_step: Callable[[int], None] = lambda _: None,
    options: dict[str, Any] | None = None,
    phases: int = 2,
    display: Any = None,
    validates: bool = True,
) -> tuple[dict[str, Tensor], list[FitResult], FakeRun]:
    """Two phases of a denoiser; the tensors at the end, how the phases ended, and the run."""
    runtime = Runtime(RuntimeOptions(device="cpu", threads=1, seed=5), display)
    train_options = TrainOptions(**{
        "epochs": epochs, "batch_size": 16, "lr": 0.02, "optimizer": "adamw", "weight_decay": 0.01, "clip": 1.0,
        "schedule": Schedule("one-cycle"), "checkpoint_every": Duration(every), **(options or {}),
    })  # fmt: skip
    net = runtime.prepare(Net())
    seen = torch.zeros(3)  # a plain tensor of the technique's
    run, data, held_out = FakeRun(path), FakeSplit(images(55, 1), torch.arange(55)), FakeSplit(images(20, 2))
    data.augmentation = Augmentation(Policy.parse("flip translate:0.2@0.7 noise:gaussian:0.05"))
    steps = 0

    def loss(noisy: Tensor, clean: Tensor) -> dict[str, Tensor]:
        value = F.mse_loss(net(noisy), clean.flatten(1))
        return {"loss": value, "root": value.sqrt()}

    def validate() -> dict[str, float]:
        net.eval()
        generator, total = runtime.generator("validate"), 0.0
        with runtime.inference():
            for batch in runtime.batches(held_out, 8):
                noisy = batch.images + torch.randn(batch.images.shape, generator=generator)
                total += F.mse_loss(net(noisy), batch.images.flatten(1), reduction="sum").item()
        return {"loss": total}

    results = []
    for phase in range(phases):
        optimizer = runtime.optimizer(net.parameters(), train_options)

        def step(batch: Batch, optimizer: torch.optim.Optimizer = optimizer) -> dict[str, Tensor]:
            nonlocal steps
            before_step(steps)
            steps += 1
            seen[1] += batch.images.mean()
            noisy = batch.images + 0.2 * torch.randn(batch.images.shape, generator=runtime.rng)
            return runtime.update(optimizer, loss, noisy, batch.images)

        results.append(
            runtime.fit(
                run,
                phase=f"layer-{phase}",
                data=data,
                options=train_options,
                step=step,
                state={"net": net, "optimizer": optimizer, "seen": seen},
                validate=validate if validates else None,
                independent=False,
            )
        )
    final = {**net.state_dict(), "seen": seen, "random": torch.rand(3), "rng": torch.rand(3, generator=runtime.rng)}
    for index, moments in optimizer.state_dict()["state"].items():
        final |= {f"optimizer.{index}.{key}": value for key, value in moments.items()}
    return {name: tensor.clone() for name, tensor in final.items()}, results, run


def same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> bool:
    """To the bit."""
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def child(target: Path, every: float) -> None:
    """Train in a process of its own, slowly enough to be hit; exits as the command line does."""
    try:
        with interruptible():
            target.mkdir(exist_ok=True)
            (target / "begun").touch()
            tensors, _, _ = train(target, epochs=8, every=every, before_step=lambda _: time.sleep(0.01))
    except Interrupted as error:
        sys.exit(error.exit_code)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, target / "final.safetensors")
