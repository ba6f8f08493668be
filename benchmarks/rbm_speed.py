"""An RBM of 784 × 500 by CD-1: `runtime.fit` against scikit-learn's BernoulliRBM given float32, in turns.

The same images for both: 0 or 1, a fifth of them 1, or those of `--data` by their grey values (which `dlkit` draws as 0
or 1 afresh in each batch; scikit-learn takes them as they are). The rates are the same; scikit-learn's chains are
persistent and it has neither momentum nor weight decay, so the plain row has none either. An epoch of one and an epoch
of the other are neighbours in time; the ratio is that of neighbours: median, and range over the pairs. Goals: 3.3 × the
samples per second at batches of 10, 1.6 × at 100.

    python benchmarks/rbm_speed.py [--pairs 7] [--images 2000] [--threads N] [--precision fp32|bf16] [--clock wall|cpu]
        [--data FOLDER]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
from dlkit_builtin.boltzmann.learning import learn
from dlkit_builtin.boltzmann.machine import Machine
from dlkit_builtin.boltzmann.options import DivergenceOptions
from pairs import CLOCKS, TurnTaking
from sklearn.neural_network import BernoulliRBM
from threadpoolctl import threadpool_limits
from torch import Tensor

from dlkit.layerwise import vectors
from dlkit.options import DataOptions, RuntimeOptions
from dlkit.options.values import Schedule
from dlkit.runtime import Runtime

HIDDEN, RATE = 500, 0.05
GOALS = {10: 3.3, 100: 1.6}
KINDS: dict[str, dict[str, Any]] = {
    "plain": {"momentum": 0.0, "weight_decay": 0.0},
    "momentum and weight decay": {},
}


def measure(images: Tensor, batch: int, kind: str, pairs: int, clock: str, runtime: Runtime) -> list[float]:
    """How many times faster `fit` is, for each pair of epochs but the first."""
    rows = images.numpy()
    theirs: Any = BernoulliRBM(HIDDEN, learning_rate=RATE, batch_size=batch, n_iter=1, random_state=0)
    machine = runtime.prepare(Machine(images.shape[1], HIDDEN))
    options = DivergenceOptions(
        epochs=pairs + 1, batch_size=batch, lr=RATE, schedule=Schedule("constant"), **KINDS[kind]
    )
    with tempfile.TemporaryDirectory() as path, threadpool_limits(runtime.threads):
        turns = TurnTaking(Path(path), lambda: theirs.fit(rows), CLOCKS[clock])
        turns.since = turns.clock()
        learn(machine, vectors("train", images), options, runtime, turns, phase=f"{batch}-{len(kind)}")
    return [plain / ours for ours, plain in zip(turns.ours[1:], turns.plain[1:], strict=True)]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--images", type=int, default=2_000)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="wall")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="of the products")
    parser.add_argument("--data", help="a data set of 28 × 28, in place of random pixels")
    arguments = parser.parse_args()
    runtime = Runtime(RuntimeOptions(device="cpu", threads=arguments.threads, precision=arguments.precision))
    if arguments.data:
        from dlkit.data import load_data

        train = load_data(DataOptions(data=arguments.data)).train
        images = train.pixels(torch.arange(arguments.images)).flatten(1)
    else:
        images = (torch.rand(arguments.images, 784) < 0.2).float()
    setting = f"{runtime.threads} threads, {runtime.precision}, {arguments.pairs} pairs, {arguments.clock} time"
    print(f"torch {torch.__version__}, {setting}")
    print("| batch | update | × scikit-learn | range | goal |\n| --- | --- | --- | --- | --- |")
    for batch, goal in GOALS.items():
        for kind in KINDS:
            ratios = measure(images, batch, kind, arguments.pairs, arguments.clock, runtime)
            spread = f"{min(ratios):.2f} – {max(ratios):.2f}"
            print(f"| {batch} | {kind} | {statistics.median(ratios):.2f} | {spread} | ≥ {goal} |", flush=True)


if __name__ == "__main__":
    main()
