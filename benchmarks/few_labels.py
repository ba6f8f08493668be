"""What learning without labels is worth when labels are few: MNIST with 100, 1,000 and 10,000 of its labels.

    python benchmarks/few_labels.py --data mnist --pretrained rbm.safetensors --threads 1

A Boltzmann machine of 1,024 hidden units learns from the 60,000 training images once (`--pretrained` keeps its
weights); then, for each number of labels and each seed, that many are drawn, stratified, and two arms learn from them
alone:

- *pretrained*: the technique `stacked` with these weights: the output layer first, then everything;
- *random start*: the same network with random weights, for as many epochs altogether.

Both arms try as many settings, on halves of the labelled images (of 10,000: on one half only), and train on all of them
with the best one; no other label is looked at, nor is a test image before the end. Results are appended to a file as
they come: what is there is not computed again, so the script can be stopped and started. `--table` prints the table.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dlkit_builtin.stacked.network import weights_of
from dlkit_builtin.stacked.options import StackedOptions
from dlkit_builtin.stacked.pretraining import Pretraining, through
from dlkit_builtin.stacked.technique import Stacked
from records import NOT_RUN, append, rows, unrecorded, with_interval
from safetensors.torch import load_file, save_file
from torch import Tensor

from dlkit.data import ImageData, load_data
from dlkit.data.folds import parts
from dlkit.data.partial import draw
from dlkit.discovery import registry
from dlkit.layerwise import LayerTask, vectors
from dlkit.options import DataOptions, RuntimeOptions, TrainOptions
from dlkit.runtime import Runtime
from dlkit.supervised.training import fit_labels

RESULTS = Path(__file__).parent / "results" / "few_labels.jsonl"
UNITS, PRETRAIN = 1024, TrainOptions(epochs=10, lr=0.05, batch_size=100)
PUBLISHED = {100: (81.7, 76.0, 81), 1_000: (93.7, 88.7, 93), 10_000: (97.3, 94.7, 97)}
"""Labels → published accuracy in percent with and without pretraining (an RBM of 1,024 units), and the goal with it."""

EPOCHS, BATCH = {100: 60, 1_000: 20, 10_000: 8}, {100: 50, 1_000: 100, 10_000: 100}
"""Epochs of the output layer, and as many of everything; a random start has twice as many of everything."""

SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    "pretrained": {
        "lr 0.0001": {"lr": 1e-4},
        "lr 0.001": {"lr": 1e-3},
        "lr 0.001, dropout 0.5": {"lr": 1e-3, "dropout": 0.5},
        "lr 0.003": {"lr": 3e-3},
    },
    "random": {
        "relu, lr 0.001": {"lr": 1e-3, "activation": "relu", "init": "he"},
        "relu, lr 0.001, dropout 0.5": {"lr": 1e-3, "activation": "relu", "init": "he", "dropout": 0.5},
        "relu, lr 0.003, dropout 0.5": {"lr": 3e-3, "activation": "relu", "init": "he", "dropout": 0.5},
        "sigmoid, lr 0.003": {"lr": 3e-3},
    },
}
"""What each arm may choose from: as many for the one as for the other. ReLU, which no Boltzmann machine has, is the
random start's to choose."""


def main() -> None:
    """Compute what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--pretrained", type=Path, default=Path("few-labels-rbm.safetensors"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--labels", default="100,1000,10000")
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--table", action="store_true", help="print the table and compute nothing")
    arguments = parser.parse_args()
    if not arguments.table:
        compute(arguments)
    print(table(rows(arguments.out)))


def compute(arguments: argparse.Namespace) -> None:
    """Every cell that the file lacks."""
    done = {(row["labels"], row["seed"], row["arm"]) for row in rows(arguments.out)}
    data = load_data(DataOptions(data=arguments.data, val_fraction=0))
    layers = pretrained(data, arguments)
    for count in map(int, arguments.labels.split(",")):
        for seed in map(int, arguments.seeds.split(",")):
            for arm in SETTINGS:
                if (count, seed, arm) not in done:
                    row = cell(data, layers, count, seed, arm, arguments.threads)
                    append(arguments.out, row)
                    print(json.dumps(row), flush=True)


def options(count: int, arm: str, given: dict[str, Any]) -> StackedOptions:
    """Of one training."""
    epochs = EPOCHS[count]
    common = {"layers": (UNITS,), "batch_size": BATCH[count], **given}
    if arm == "random":
        return StackedOptions(pretrain="none", epochs=2 * epochs, **common)
    return StackedOptions(pretrain="rbm", epochs=epochs, head_epochs=epochs, head_lr=0.01, **common)


def pretrained(data: ImageData, arguments: argparse.Namespace) -> dict[str, Tensor]:
    """The Boltzmann machine's weights, learned once."""
    if not arguments.pretrained.exists():
        runtime = Runtime(RuntimeOptions(seed=0, threads=arguments.threads))
        task = LayerTask(phase="layer-1", units=UNITS, activation="sigmoid", options=PRETRAIN)
        learn = registry().technique("rbm").layer_learner()
        with unrecorded() as run:
            layer = learn(vectors("train", data.train.pixels().flatten(1)), task, runtime, run)
        save_file({name: tensor.cpu() for name, tensor in layer.state_dict().items()}, arguments.pretrained)
    return load_file(arguments.pretrained)


def cell(
    data: ImageData, layers: dict[str, Tensor], count: int, seed: int, arm: str, threads: int | None
) -> dict[str, Any]:
    """One draw of labels, learned by one arm: its settings tried on halves, the best one on all, tested."""
    start = time.perf_counter()
    labels = data.train.labels.numpy()
    chosen = data.train.subset(torch.from_numpy(draw(labels, np.ones(len(labels), dtype=bool), count, seed)))
    halves = torch.from_numpy(parts(chosen.labels.numpy(), count, 2, seed))
    nothing = torch.zeros(0, dtype=torch.int64)
    few = dataclasses.replace(data, train=chosen, val=data.val.subset(nothing))
    tried = {}
    for name, given in SETTINGS[arm].items():
        accuracies = []
        for half in (0, 1) if count < max(EPOCHS) else (0,):
            split = dataclasses.replace(
                few,
                train=chosen.subset((halves != half).nonzero()[:, 0]),
                test=chosen.subset((halves == half).nonzero()[:, 0]),
            )
            accuracies.append(trained(split, layers, options(count, arm, given), seed, threads))
        tried[name] = sum(accuracies) / len(accuracies)
    best = max(tried, key=tried.__getitem__)
    accuracy = trained(few, layers, options(count, arm, SETTINGS[arm][best]), seed, threads)
    return {
        "labels": count, "seed": seed, "arm": arm, "accuracy": accuracy, "setting": best,
        "tried": {name: round(value, 4) for name, value in tried.items()}, "test_images": len(data.test),
        "seconds": round(time.perf_counter() - start, 1),
    }  # fmt: skip


def trained(
    data: ImageData, layers: dict[str, Tensor], chosen: StackedOptions, seed: int, threads: int | None
) -> float:
    """Accuracy on ``data.test`` of a network that learned from the labels of ``data.train``."""
    runtime = Runtime(RuntimeOptions(seed=seed, threads=threads))
    torch.manual_seed(seed)
    technique = Stacked(chosen, data.spec)
    network = runtime.prepare(technique.network)
    with unrecorded() as run:
        if chosen.pretrain != "none":
            weights_of(network.layers[0]).load_state_dict(layers)
            steps = Pretraining(network, data, chosen, runtime, run)
            steps.head(*(through(network.eval().features, split, runtime) for split in (data.train, data.val)))
        fit_labels(network.train(), network.objective, data.train, data.val, chosen, runtime, run, phase="all")
    return float((technique.predict(data.test, runtime).argmax(1) == data.test.labels).float().mean())


def table(found: list[dict[str, Any]]) -> str:
    """Accuracy in percent: mean over seeds with 95 % t-intervals, and of the paired difference; as Markdown."""
    lines = [
        "| labels | seeds | pretrained | random start | difference | goal | published |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    results = {(r["labels"], r["seed"], r["arm"]): 100 * r["accuracy"] for r in found}
    for count, (with_it, without, goal) in PUBLISHED.items():
        seeds = sorted(s for n, s, arm in results if n == count and arm == "random" and (n, s, "pretrained") in results)
        ours, theirs = ([results[count, seed, arm] for seed in seeds] for arm in ("pretrained", "random"))
        gaps = [mine - other for mine, other in zip(ours, theirs, strict=True)]
        cells = [with_interval(values) for values in (ours, theirs, gaps)] if seeds else [NOT_RUN] * 3
        lines.append(f"| {count:,} | {len(seeds)} | {' | '.join(cells)} | ≥ {goal} | {with_it} and {without} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
