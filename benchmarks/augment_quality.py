"""What augmentation is worth on little data: a small network from scratch on 1,000 images, with and without it.

    python benchmarks/augment_quality.py --data cifar10.npz [--policies "none,trivial"] [--seeds 0,1,2,3,4] [--table]

For each seed 1,000 training, 500 validation and 2,000 test images are drawn, the classes alike, and `dlkit train
classifier` learns from them with each policy: the same network, rate, schedule and number of epochs, the epoch with the
lowest validation loss kept. Results are appended to a file as they come: what is there is not computed again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from records import append, rows, with_interval

import dlkit
from dlkit import session

RESULTS = Path(__file__).parent / "results" / "augment_quality.jsonl"
TRAIN, VAL, TEST = 1_000, 500, 2_000
SETTINGS: dict[str, Any] = {
    "net": "cnn", "layers": "16,32,64", "dense": "none", "batch_norm": True, "epochs": 60, "batch_size": 50,
    "lr": 2e-3, "schedule": "cosine",
}  # fmt: skip
GOAL = 3.0
"""Points that `trivial` is to be above none."""


def main() -> None:
    """Compute what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="an .npz file with images (N, H, W, 3) and labels (N,)")
    parser.add_argument("--policies", default="none,trivial")
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--epochs", type=int, default=SETTINGS["epochs"])
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--table", action="store_true", help="print the table and compute nothing")
    arguments = parser.parse_args()
    if not arguments.table:
        session.save_pictures = lambda *_: []  # they would take longer than training
        compute(arguments)
    print(table(rows(arguments.out), arguments.policies.split(",")))


def compute(arguments: argparse.Namespace) -> None:
    """Every cell that the file lacks."""
    done = {(row["policy"], row["seed"], row["epochs"]) for row in rows(arguments.out)}
    for seed in map(int, arguments.seeds.split(",")):
        for policy in arguments.policies.split(","):
            if (policy, seed, arguments.epochs) not in done:
                append(arguments.out, trained(arguments, policy, seed))


def trained(arguments: argparse.Namespace, policy: str, seed: int) -> dict[str, Any]:
    """One training's test accuracy, in percent."""
    with tempfile.TemporaryDirectory() as folder:
        data = drawn(arguments.data, seed, Path(folder))
        options = {
            **SETTINGS,
            "epochs": arguments.epochs,
            "augment": policy,
            "seed": seed,
            "threads": arguments.threads,
        }
        start = time.monotonic()
        model = dlkit.train("classifier", data=str(data), runs=folder, **options)
        accuracy = 100 * model.metrics.get("accuracy", "test").value
    row = {"policy": policy, "seed": seed, "epochs": arguments.epochs, "accuracy": round(accuracy, 2),
           "seconds": round(time.monotonic() - start)}  # fmt: skip
    print(json.dumps(row), flush=True)
    return row


def drawn(source: Path, seed: int, folder: Path) -> Path:
    """A file with the images of a seed, in splits."""
    with np.load(source) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    random = np.random.default_rng(seed)
    turn = np.empty(len(labels))  # of an image among those of its class
    for label in np.unique(labels):
        own = random.permutation(np.flatnonzero(labels == label))
        turn[own] = np.arange(len(own)) + random.uniform(size=len(own))
    chosen = np.argsort(turn)[: TRAIN + VAL + TEST]
    split = np.repeat(["train", "val", "test"], [TRAIN, VAL, TEST])
    path = folder / "images.npz"
    np.savez(path, images=images[chosen], labels=labels[chosen], split=split)
    return path


def table(found: list[dict[str, Any]], policies: list[str]) -> str:
    """Markdown: accuracy of each policy, and its gain over none on the same images."""
    lines = ["| policy | accuracy, % | gain over none, points | runs |", "| --- | --- | --- | --- |"]
    for epochs in sorted({row["epochs"] for row in found}):
        scores = {(row["policy"], row["seed"]): row["accuracy"] for row in found if row["epochs"] == epochs}
        for policy in policies:
            own = {seed: value for (name, seed), value in scores.items() if name == policy}
            gains = [value - scores["none", seed] for seed, value in own.items() if ("none", seed) in scores]
            gain = "" if policy == "none" else with_interval(gains)
            lines.append(f"| {policy}, {epochs} epochs | {with_interval(list(own.values()))} | {gain} | {len(own)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
