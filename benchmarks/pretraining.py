"""What each way of pretraining is worth on MNIST, beside the table of Bengio et al. 2007 (section 4, table 2).

    python benchmarks/pretraining.py --data mnist
    python benchmarks/pretraining.py --data mnist --published
    python benchmarks/pretraining.py --data mnist --published --whole --device cuda

The technique `stacked` with three hidden layers, and with a single one, by every `--pretrain`; the test error of the
weights that are best on the validation images. The first command is a size that two cores manage in 20 minutes; with
`--published` the layers and images are as many as in the paper, and each phase ends after 200 updates, to show that it
works; with `--whole` it is trained to the end, which is for a GPU. Nothing is tuned: all arms have the options below.

Results are appended to a file as they come: what is there is not computed again. `--table` prints the table.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from dlkit_builtin.stacked.options import StackedOptions
from dlkit_builtin.stacked.technique import Stacked
from records import append, rows, unrecorded, with_interval

from dlkit.data import ImageData, load_data
from dlkit.options import DataOptions, RuntimeOptions
from dlkit.runtime import Runtime

RESULTS = Path(__file__).parent / "results" / "pretraining.jsonl"
BATCH, STEPS = 128, 200


@dataclass(frozen=True)
class Size:
    """Of a training: units of a layer, images of train and val, epochs of each layer, of the output layer, of all."""

    units: int
    train: int
    val: int
    pretrain: int
    head: int
    epochs: int


SIZES = {
    "small": Size(500, 10_000, 2_000, 10, 10, 20),
    "published, 200 updates": Size(1_000, STEPS * BATCH, 10_000, 1, 1, 1),
    "published": Size(1_000, 50_000, 10_000, 50, 20, 100),
}
ARMS = {
    "deep belief network": ("rbm", 3, 1.2),
    "stacked autoencoders": ("autoencoder", 3, 1.4),
    "supervised pretraining": ("supervised", 3, 2.0),
    "no pretraining": ("none", 3, 2.4),
    "shallow net": ("none", 1, 1.9),
}
"""Row → `--pretrain`, hidden layers, published test error in percent."""


def main() -> None:
    """Compute what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--published", action="store_true", help="the published size, 200 updates of each phase")
    parser.add_argument("--whole", action="store_true", help="with --published: to the end")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--table", action="store_true", help="print the table and compute nothing")
    arguments = parser.parse_args()
    if not arguments.table:
        compute(arguments)
    print(table(rows(arguments.out)))


def compute(arguments: argparse.Namespace) -> None:
    """Every arm and seed that the file lacks."""
    size = "small" if not arguments.published else "published" if arguments.whole else "published, 200 updates"
    seeds = [0] if size == "published, 200 updates" else list(map(int, arguments.seeds.split(",")))
    done = {(row["size"], row["arm"], row["seed"]) for row in rows(arguments.out)}
    data = chosen(load_data(DataOptions(data=arguments.data, val_fraction=1 / 6)), SIZES[size])
    for seed in seeds:
        for arm in ARMS:
            if (size, arm, seed) not in done:
                row = {"size": size, "arm": arm, "seed": seed, **trained(data, SIZES[size], arm, seed, arguments)}
                append(arguments.out, row)
                print(json.dumps(row), flush=True)


def chosen(data: ImageData, size: Size) -> ImageData:
    """The first images of train and val, which are in no order."""
    return dataclasses.replace(
        data, train=data.train.subset(torch.arange(size.train)), val=data.val.subset(torch.arange(size.val))
    )


def options(size: Size, arm: str) -> StackedOptions:
    """Of one training; without pretraining there are as many epochs with labels."""
    pretrain, depth, _ = ARMS[arm]
    common: dict[str, Any] = {"layers": (size.units,) * depth, "batch_size": BATCH, "pretrain": pretrain}
    if pretrain == "none":
        return StackedOptions(**common, epochs=size.head + size.epochs)
    return StackedOptions(**common, pretrain_epochs=size.pretrain, head_epochs=size.head, epochs=size.epochs)


def trained(data: ImageData, size: Size, arm: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Test error in percent after all steps."""
    start = time.perf_counter()
    runtime = Runtime(RuntimeOptions(seed=seed, threads=arguments.threads, device=arguments.device))
    torch.manual_seed(seed)
    technique = Stacked(options(size, arm), data.spec)
    with unrecorded() as run:
        technique.train(data, runtime, run)
    wrong = technique.predict(data.test, runtime).argmax(1) != data.test.labels
    return {
        "error": 100 * float(wrong.float().mean()), "test_images": len(data.test), "device": str(runtime.device),
        "seconds": round(time.perf_counter() - start, 1),
    }  # fmt: skip


def table(found: list[dict[str, Any]]) -> str:
    """Test error in percent: mean over seeds with 95 % t-intervals, of both sizes; as Markdown."""
    lines = [
        "| | seeds | 500 units, 10,000 images | published size, to the end | published |",
        "| --- | --- | --- | --- | --- |",
    ]
    for arm, (_, _, published) in ARMS.items():
        small, whole = ([row["error"] for row in found if (row["size"], row["arm"]) == (size, arm)]
                        for size in ("small", "published"))  # fmt: skip
        cells = f"{with_interval(small)} | {with_interval(whole)} | {published}"
        lines.append(f"| {arm} | {len(small)} | {cells} |")
    shown = [row for row in found if row["size"] == "published, 200 updates"]
    names = ", ".join(f"{row['arm']} {row['error']:.1f} %" for row in shown)
    return "\n".join([*lines, "", f"After 200 updates of each phase at the published size: {names or '*not run*'}."])


if __name__ == "__main__":
    main()
