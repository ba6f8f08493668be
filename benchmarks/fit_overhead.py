"""What `runtime.fit` adds to each step of a raw PyTorch loop.

Both train the same tiny network on the same in-memory images: index, forward, backward, fused Adam; one thread.
Goal: at most 15 µs a step.

    python benchmarks/fit_overhead.py [--pairs 60] [--steps 500] [--clock wall|cpu]
"""

from __future__ import annotations

import argparse
import statistics

import torch
from pairs import CLOCKS, measure
from torch import Tensor, nn
from torch.nn import functional as F

from dlkit.options import RuntimeOptions, TrainOptions
from dlkit.runtime import Batch, Runtime

BATCH = 8


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="cpu")
    arguments = parser.parse_args()
    runtime = Runtime(RuntimeOptions(device="cpu", threads=1))
    images = torch.rand(arguments.steps * BATCH, 16)
    options = TrainOptions(epochs=arguments.pairs + 1, batch_size=BATCH)
    net, other = nn.Linear(16, 16), nn.Linear(16, 16)
    ours, adam = runtime.optimizer(net.parameters(), options), torch.optim.Adam(other.parameters(), fused=True)

    def loss(batch: Tensor) -> Tensor:
        return F.mse_loss(net(batch), batch)

    def step(batch: Batch) -> dict[str, Tensor]:
        return runtime.update(ours, loss, batch.images)

    def plain_epoch() -> None:
        order = torch.randperm(len(images))
        for start in range(0, len(images), BATCH):
            batch = images.index_select(0, order[start : start + BATCH])
            adam.zero_grad()
            F.mse_loss(other(batch), batch).backward()
            adam.step()

    fit, raw = measure(runtime, images, options, {"net": net, "adam": ours}, step, plain_epoch, arguments.clock)
    extra = statistics.median(a - b for a, b in zip(fit, raw, strict=True))
    each = 1e6 / arguments.steps
    print(f"torch {torch.__version__}, {len(raw)} pairs of {arguments.steps} steps, one thread, {arguments.clock} time")
    print("| µs a step | median | least |\n| --- | --- | --- |")
    print(f"| raw loop | {statistics.median(raw) * each:.1f} | {min(raw) * each:.1f} |")
    print(f"| runtime.fit | {statistics.median(fit) * each:.1f} | {min(fit) * each:.1f} |")
    print(f"| overhead (goal ≤ 15) | {extra * each:.1f} | {(min(fit) - min(raw)) * each:.1f} |")


if __name__ == "__main__":
    main()
