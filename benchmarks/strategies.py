"""Which strategy of transfer learning is best on small data, and how much `auto` loses against knowing it beforehand.

    python benchmarks/strategies.py --data FOLDER --weights FILE --out benchmarks/results/strategies.jsonl \\
        --backbone timm.models.efficientnet:_gen_mobilenet_v1 \\
        --backbone-arg variant=mobilenetv1_100,channel_multiplier=0.5,pad_type=same --budget 1h --threads 1

FOLDER holds the data sets below as folders or .npz files. For each data set, number of images per class and seed, a
training set of that size is drawn; every strategy is trained on it and tested on the same large test split; `auto`
measures and races on the training images alone, and what it would choose is noted. Results are appended to the file as
they come: what is there is not computed again, so the script can be stopped and started. `--table` prints the table.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dlkit_builtin.transfer.auto import advise
from dlkit_builtin.transfer.evaluation import outputs_of
from dlkit_builtin.transfer.options import TransferOptions
from dlkit_builtin.transfer.technique import Transfer

from dlkit.backbones import build_backbone, image_form
from dlkit.data import ImageData, load_data
from dlkit.options import DataOptions, RuntimeOptions
from dlkit.options.values import Duration, Size
from dlkit.run.scratch import Scratch
from dlkit.runtime import Runtime

DATASETS = {
    "hymenoptera": ("hymenoptera", "val", 160),
    "cats_dogs": ("cats_dogs", "test", 160),
    "rsscn7": ("rsscn7", 0.5, 96),
    "sign_digits": ("sign_digits", 0.6, 96),
    "fer2013": ("fer2013_small", "test", 96),
    "cifar10": ("cifar10_lossless_4000.npz", 0.5, 96),
}
"""Name → where it is; its test split: a published one, or a share that is drawn once (seed 0); and the side of the
images: photographs at the weights' own size, the rest (32 to 192 px on disk) at 96, a third of the time."""

RESULTS = Path(__file__).parent / "results" / "strategies.jsonl"
STRATEGIES = ("linear-probe", "stage-probe", "mlp-head", "finetune-top", "finetune-deep", "lp-ft", "finetune")
SHOWN = ("dataset", "size", "seed", "strategy", "result", "seconds")
RIVALS = {"always probe": "linear-probe", "always fine-tune": "finetune", "always lp-ft": "lp-ft"}


def main() -> None:
    """Compute what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the data sets")
    parser.add_argument("--backbone", default="mobilenetv2_100")
    parser.add_argument("--backbone-arg", default="", help="KEY=VALUE,…")
    parser.add_argument("--weights", help="file of weights for it")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--datasets", default=",".join(DATASETS))
    parser.add_argument("--sizes", default="5,20,50", help="training images per class")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--strategies", default=",".join((*STRATEGIES, "auto")))
    parser.add_argument("--budget", default="1h", help="of auto's race")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--table", action="store_true", help="print the table and compute nothing")
    arguments = parser.parse_args()
    if not arguments.table:
        compute(arguments)
    print(table(rows(arguments.out)))


def compute(arguments: argparse.Namespace) -> None:
    """Every cell that the file lacks, the small ones first."""
    done = {(row["dataset"], row["size"], row["seed"], row["strategy"]) for row in rows(arguments.out)}
    for size in map(int, arguments.sizes.split(",")):
        for seed in map(int, arguments.seeds.split(",")):
            for name in arguments.datasets.split(","):
                wanted = [s for s in arguments.strategies.split(",") if (name, size, seed, s) not in done]
                for row in cell(name, size, seed, wanted, arguments) if wanted else ():
                    with arguments.out.open("a") as file:
                        file.write(json.dumps(row) + "\n")
                    print(
                        *(row[key] for key in ("dataset", "size", "seed", "strategy", "result", "seconds")), flush=True
                    )


def cell(
    name: str, size: int, seed: int, strategies: list[str], arguments: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """One training set, tried by every strategy."""
    base = TransferOptions(
        backbone=arguments.backbone,
        weights=arguments.weights,
        backbone_arg=tuple(arguments.backbone_arg.split(",")) if arguments.backbone_arg else (),
        budget=Duration.parse(arguments.budget),
    )
    data = drawn(pool(name, arguments, base), size, seed)
    for strategy in strategies:
        options = dataclasses.replace(base, strategy=strategy)
        runtime = Runtime(RuntimeOptions(seed=seed, threads=arguments.threads))
        torch.manual_seed(seed)
        technique = Transfer(options, data.spec, build_backbone(options))
        start = time.perf_counter()
        if strategy == "auto":  # its accuracy is that of the strategy that it chooses: the same weights come out
            network = runtime.prepare(technique.network).eval()
            network.objective.learn(data.train)
            advice = advise(network, data, runtime, options)
            scores = {c.strategy: [None if math.isnan(s) else s for s in c.scores] for c in advice.candidates}
            result, more = advice.choice, {"advice": advice.to_json(), "scores": scores}
        else:
            with tempfile.TemporaryDirectory() as folder:
                technique.train(data, runtime, Scratch(Path(folder)))
            result, more = accuracy(technique, data, runtime), {}
        yield {
            "dataset": name, "size": size, "seed": seed, "strategy": strategy, "result": result,
            "seconds": round(time.perf_counter() - start, 1), "backbone": arguments.backbone,
            "image_size": data.spec.height, "test_images": len(data.test), **more,
        }  # fmt: skip


_POOLS: dict[str, ImageData] = {}


def pool(name: str, arguments: argparse.Namespace, options: TransferOptions) -> ImageData:
    """All of a data set, its test split fixed."""
    if name not in _POOLS:
        path, test, side = DATASETS[name]
        data = load_data(
            DataOptions(
                data=str(arguments.data / path), image_size=Size(side, side), val_fraction=0,
                test_fraction=test if isinstance(test, float) else 0,
            ),
            form=image_form(options),
        )  # fmt: skip
        _POOLS[name] = (
            dataclasses.replace(data, test=data.val.renamed("test"), val=data.test) if test == "val" else data
        )
    return _POOLS[name]


def drawn(data: ImageData, size: int, seed: int) -> ImageData:
    """``size`` training images of each class."""
    generator = torch.Generator().manual_seed(seed)
    labels = data.train.labels
    order = torch.randperm(len(labels), generator=generator)
    chosen = torch.cat([order[labels[order] == label][:size] for label in range(len(data.spec.classes))])
    nothing = torch.zeros(0, dtype=torch.int64)
    return dataclasses.replace(data, train=data.train.subset(chosen.sort().values), val=data.val.subset(nothing))


def accuracy(technique: Transfer, data: ImageData, runtime: Runtime) -> float:
    """Top-1 on the test split."""
    return float((outputs_of(technique, data.test, runtime).argmax(1) == data.test.labels).float().mean())


def rows(path: Path) -> list[dict[str, Any]]:
    """What is in the file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(found: list[dict[str, Any]]) -> str:
    """Mean accuracy over seeds in percent, what `auto` got and chose, and regrets, as Markdown."""
    results = {(r["dataset"], r["size"], r["seed"], r["strategy"]): r["result"] for r in found}
    cells = sorted({key[:2] for key in results}, key=lambda cell: (list(DATASETS).index(cell[0]), cell[1]))
    lines = [f"| data | per class | {' | '.join(STRATEGIES)} | auto | chosen |", "| --- " * (len(STRATEGIES) + 4) + "|"]
    regrets: dict[str, list[float]] = {name: [] for name in ("auto", *RIVALS)}
    for dataset, size in cells:
        seeds = sorted({key[2] for key in results if key[:2] == (dataset, size)})
        seeds = [s for s in seeds if all((dataset, size, s, n) in results for n in (*STRATEGIES, "auto"))]
        if not seeds:
            continue
        means = {n: 100 * np.mean([results[dataset, size, s, n] for s in seeds]) for n in STRATEGIES}
        chosen = [results[dataset, size, s, "auto"] for s in seeds]
        auto = 100 * np.mean([results[dataset, size, s, n] for s, n in zip(seeds, chosen, strict=True)])
        best = max(means.values())
        regrets["auto"].append(best - auto)
        for rival, strategy in RIVALS.items():
            regrets[rival].append(best - means[strategy])
        figures = [f"**{value:.1f}**" if value == best else f"{value:.1f}" for value in means.values()]
        lines.append(f"| {dataset} | {size} | {' | '.join(figures)} | {auto:.1f} | {', '.join(chosen)} |")
    return "\n".join([*lines, "", *_regrets(regrets)])


def _regrets(regrets: dict[str, list[float]]) -> Iterator[str]:
    """Mean regret in points over the cells, with a 95 % interval, and the paired difference to `auto`."""
    yield "| policy | mean regret, points | auto is better by |"
    yield "| --- | --- | --- |"
    for name, values in regrets.items():
        if values:
            paired = np.array(values) - np.array(regrets["auto"])
            beside = "" if name == "auto" else _with_interval(paired)
            yield f"| {name} | {_with_interval(np.array(values))} | {beside} |"


def _with_interval(values: np.ndarray) -> str:
    """Mean and 95 % interval by the t distribution."""
    from scipy.stats import t

    mean = float(values.mean())
    if len(values) < 2:
        return f"{mean:.2f}"
    half = float(t.ppf(0.975, len(values) - 1)) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return f"{mean:.2f} [{mean - half:.2f}, {mean + half:.2f}]"


if __name__ == "__main__":
    main()
