"""`fit` is the plain PyTorch loop, to the bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from runtime_fakes import FakeRun, FakeSplit
from torch import Tensor, nn
from torch.nn import functional as F

from dlkit.options import RuntimeOptions, TrainOptions
from dlkit.options.values import Schedule
from dlkit.runtime import Batch, Runtime
from dlkit.runtime.schedule import factor_at


def network() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 16))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("schedule", [Schedule("constant"), Schedule("cosine")])
def test_fit_equals_a_plain_loop(tmp_path: Path, dtype: torch.dtype, in_memory: bool, schedule: Schedule) -> None:
    raw = torch.randint(0, 256, (50, 1, 4, 4), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    raw = raw if dtype == torch.uint8 else raw.float() / 255
    pixels = raw.float() / 255 if dtype == torch.uint8 else raw
    options = TrainOptions(epochs=3, batch_size=16, optimizer="adam", lr=0.01, schedule=schedule, weight_decay=1e-3)

    runtime = Runtime(RuntimeOptions(device="cpu", seed=3, threads=1))
    ours = runtime.prepare(network())
    optimizer = runtime.optimizer(ours.parameters(), options)

    def step(batch: Batch) -> dict[str, Tensor]:
        noisy = batch.images + torch.randn(batch.images.shape, generator=runtime.rng)
        return runtime.update(optimizer, lambda x, y: F.mse_loss(ours(x), y.flatten(1)), noisy, batch.images)

    run = FakeRun(tmp_path)
    result = runtime.fit(
        run, phase="main", data=FakeSplit(raw, in_memory=in_memory), options=options,
        state={"net": ours, "opt": optimizer}, step=step,
    )  # fmt: skip

    torch.manual_seed(3)
    plain = network()
    adam = torch.optim.Adam(plain.parameters(), lr=0.01, weight_decay=1e-3, fused=True)
    means = []
    for epoch in range(3):
        noise = torch.Generator().manual_seed(runtime.derive("training", "main", epoch))
        order = torch.randperm(50, generator=runtime.generator("permutation", "main", epoch))
        total = 0.0
        for index, chosen in enumerate(order.split(16)):
            adam.param_groups[0]["lr"] = 0.01 * factor_at(schedule, epoch + index / 4, 3)
            clean = pixels[chosen]
            loss = F.mse_loss(plain(clean + torch.randn(clean.shape, generator=noise)), clean.flatten(1))
            adam.zero_grad()
            loss.backward()
            adam.step()
            total += loss.item() * len(chosen)
        means.append(total / 50)

    for mine, theirs in zip(ours.parameters(), plain.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert [row["train_loss"] for row in run.rows()] == means
    assert [(row["epoch"], row["step"]) for row in run.rows()] == [(1, 4), (2, 8), (3, 12)]
    assert (result.epochs, result.steps, result.reason, result.resumed) == (3, 12, "epochs", False)
