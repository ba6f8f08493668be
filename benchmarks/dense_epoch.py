"""An epoch of a dense autoencoder: `runtime.fit` against the shortest plain PyTorch loop of the same arithmetic.

60,000 × 784, batch 128, 784-512-32-512-784 with ReLU, mean squared error, fused Adam, denormals flushed and the same
number of threads in both. Goal: a ratio of at most 1.05.

    python benchmarks/dense_epoch.py [--pairs 5] [--images 60000] [--threads N] [--uint8] [--clock wall|cpu]
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

BATCH = 128


def network() -> nn.Sequential:
    """784-512-32-512-784."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 32), nn.Linear(32, 512), nn.ReLU(), nn.Linear(512, 784)
    )


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--uint8", action="store_true", help="fit holds 8-bit images, the plain loop float32 ones")
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="wall")
    arguments = parser.parse_args()
    runtime = Runtime(RuntimeOptions(device="cpu", threads=arguments.threads))
    raw = torch.randint(0, 256, (arguments.images, 1, 28, 28), dtype=torch.uint8)
    pixels = raw.float().div_(255)
    rows = pixels.flatten(1)
    options = TrainOptions(epochs=arguments.pairs + 1, batch_size=BATCH)
    net, other = runtime.prepare(network()), network()
    ours, adam = runtime.optimizer(net.parameters(), options), torch.optim.Adam(other.parameters(), fused=True)

    def loss(batch: Tensor) -> Tensor:
        return F.mse_loss(net(batch), batch)

    def step(batch: Batch) -> dict[str, Tensor]:
        return runtime.update(ours, loss, batch.images.flatten(1))

    def plain_epoch() -> None:
        order = torch.randperm(len(rows))
        for start in range(0, len(rows), BATCH):
            batch = rows[order[start : start + BATCH]]
            adam.zero_grad()
            F.mse_loss(other(batch), batch).backward()
            adam.step()

    state = {"net": net, "adam": ours}
    images = raw if arguments.uint8 else pixels
    fit, plain = measure(runtime, images, options, state, step, plain_epoch, arguments.clock)
    ratio = statistics.median(a / b for a, b in zip(fit, plain, strict=True))
    kind = "uint8" if arguments.uint8 else "float32"
    print(f"torch {torch.__version__}, {runtime.threads} threads, {len(plain)} pairs of epochs, {arguments.clock} time")
    print(f"{arguments.images:,} images, as {kind} in fit and as float32 in the plain loop")
    print("| seconds an epoch | median | least |\n| --- | --- | --- |")
    print(f"| plain loop | {statistics.median(plain):.3f} | {min(plain):.3f} |")
    print(f"| runtime.fit | {statistics.median(fit):.3f} | {min(fit):.3f} |")
    print(f"| ratio (goal ≤ 1.05) | {ratio:.3f} | {min(fit) / min(plain):.3f} |")


if __name__ == "__main__":
    main()
