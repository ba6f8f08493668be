"""Images per second of a frozen backbone: the tutorials' loops and dlkit's extraction, in turns.

python benchmarks/feature_extraction.py [--images 96] [--rounds 5] [--compile] [--threads 1 --clock cpu] [--data FOLDER]

Everything reads the same JPEG files: the loops through a DataLoader with PIL transforms, dlkit through its own threads,
decoding as it goes (nothing is in memory, nothing is cached). Ratios are medians over neighbours in time.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pairs import CLOCKS
from photos import make_photos, tutorial_loader

from dlkit.backbones import Backbone, BackboneOptions, Tap, build_backbone, image_form
from dlkit.data import ImageData, load_data
from dlkit.display import Display
from dlkit.features import FeatureOptions, extract
from dlkit.options import DataOptions, RuntimeOptions
from dlkit.runtime import Runtime


def main() -> None:
    """Generate the files if there are none, and measure."""
    arguments = parsed()
    with tempfile.TemporaryDirectory() as place:
        folder = arguments.data or make_photos(Path(place), arguments.images * 5 // 4)
        run(arguments, Path(folder))


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--weights", help="a file of weights; random ones if not given")
    parser.add_argument("--backbone-arg", default=(), nargs="*")
    parser.add_argument("--images", type=int, default=96, help="that are generated")
    parser.add_argument("--data", help="a folder with train/CLASS/*.jpg in place of generated ones")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu, with --threads 1, on a busy machine")
    parser.add_argument("--compile", action="store_true", help="time the compiled extraction too (minutes)")
    return parser.parse_args()


def run(arguments: argparse.Namespace, folder: Path) -> None:
    """Make the sides of the comparison."""
    wanted = BackboneOptions(
        backbone=arguments.backbone, weights=arguments.weights, backbone_arg=tuple(arguments.backbone_arg),
        random_init=arguments.weights is None,
    )  # fmt: skip
    data = load_data(DataOptions(data=str(folder), in_memory="no"), form=image_form(wanted))
    backbone = build_backbone(wanted).eval()
    loader = tutorial_loader(folder / "train", 8)

    def loop(context: Callable[[], Any]) -> Callable[[], object]:
        def features() -> object:
            with context():
                return [backbone.network(images) for images, _ in loader]

        return features

    sides: dict[str, Callable[[], object]] = {
        "eval loop, autograd on (the tutorials)": loop(torch.enable_grad),
        "inference_mode loop, fp32": loop(torch.inference_mode),
        "dlkit --no-fast": ours(backbone, data, arguments, FeatureOptions(cache=False, fast=False)),
        "dlkit": ours(backbone, data, arguments, FeatureOptions(cache=False)),
    }
    if arguments.compile:
        sides["dlkit --compile"] = ours(backbone, data, arguments, FeatureOptions(cache=False), compiled=True)
    counts = {name: len(data.train) if name.startswith("dlkit") else len(loader.dataset) for name in sides}
    show(sides, arguments.rounds, counts, CLOCKS[arguments.clock])


def ours(
    backbone: Backbone, data: ImageData, arguments: argparse.Namespace, options: FeatureOptions, compiled: bool = False
) -> Callable[[], object]:
    """One side: an extraction with a runtime of its own."""
    runtime = Runtime(RuntimeOptions(threads=arguments.threads, compile=compiled), Display())
    split = data.train
    return lambda: extract(backbone, split, [Tap("top")], runtime, options)


def show(
    sides: dict[str, Callable[[], object]], rounds: int, counts: dict[str, int], clock: Callable[[], float]
) -> None:
    """Take turns, and print medians and ratios."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for name, side in sides.items():  # preparing (checks, compiling) is told apart: it happens once in a job
        start = clock()
        side()
        print(f"first pass of {name}: {clock() - start:.1f} s", flush=True)
    for _ in range(rounds):
        for name, side in sides.items():
            start = clock()
            side()
            seconds[name].append((clock() - start) / counts[name])
    base = seconds["inference_mode loop, fp32"]
    print(f"\n{min(counts.values())} images, {rounds} rounds")
    print(f"{'':42}{'ms/image':>10}{'img/s':>8}{'ratio':>8}{'least':>8}")
    for name, taken in seconds.items():
        ratio = statistics.median(b / t for b, t in zip(base, taken, strict=True))
        middle = statistics.median(taken)
        print(f"{name:42}{middle * 1e3:10.1f}{1 / middle:8.1f}{ratio:8.2f}{min(base) / min(taken):8.2f}")


if __name__ == "__main__":
    main()
