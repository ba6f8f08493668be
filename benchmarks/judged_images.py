"""What FID, KID and coverage say when there are few images to compare: genuine images against other genuine ones,
against a generator's, and against a Gaussian in PCA space, at several numbers of images.

    dlkit train gan --epochs 40
    python benchmarks/judged_images.py latest                                  # 10 to 640 images of its data
    python benchmarks/judged_images.py RUN --numbers 50,500 --repeats 5

Each figure is mean ± standard deviation over draws of images without replacement. Features are those that the run was
judged by.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch

import dlkit
from dlkit.data import load_data
from dlkit.judging.distances import NEIGHBOURS, Values, frechet, kernel_distance, overlap
from dlkit.judging.features import features
from dlkit.judging.verdict import gaussian, generated

FIGURES: dict[str, Callable[[Values, Values], float]] = {
    "FID": frechet,
    "KID": kernel_distance,
    "coverage": lambda genuine, theirs: overlap(genuine, theirs).coverage,
}


def pools(name: str, runs: str) -> dict[str, Values]:
    """Kind of images → features ``(N, D)`` of all training images, and of as many others."""
    model = dlkit.load(name, runs=runs)
    runtime, technique = model.runtime, model.technique
    data = load_data(model.run.settings.data)
    found = features(model.run.settings.options, data, runtime)  # type: ignore[arg-type]
    genuine = data.train.pixels(torch.arange(len(data.train)))
    drawn = {
        "genuine": genuine,
        "the generator": generated(technique.generate, len(genuine), runtime),
        "PCA Gaussian": gaussian(genuine, len(genuine), runtime.generator("gaussian", device="cpu")),
    }
    with torch.inference_mode():
        return {kind: found.of(images).double().numpy() for kind, images in drawn.items()}


def main() -> None:
    """Run the benchmark, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--runs", default="runs")
    parser.add_argument("--numbers", default="10,50,100,500,640")
    parser.add_argument("--repeats", type=int, default=20)
    arguments = parser.parse_args()
    kinds = pools(arguments.run, arguments.runs)
    random = np.random.default_rng(0)
    print(f"| images of each | {' | '.join(f'{figure}, {kind}' for figure in FIGURES for kind in kinds)} |")
    print(f"|{' --- |' * (1 + len(FIGURES) * len(kinds))}")
    for number in map(int, arguments.numbers.split(",")):
        if not NEIGHBOURS < number <= len(kinds["genuine"]) // 2:
            parser.error(f"--numbers must be from {NEIGHBOURS + 1} to {len(kinds['genuine']) // 2} here")
        found: dict[tuple[str, str], list[float]] = {(figure, kind): [] for figure in FIGURES for kind in kinds}
        for _ in range(arguments.repeats):
            order = random.permutation(len(kinds["genuine"]))
            reference, others = order[:number], order[number : 2 * number]
            for (figure, kind), values in found.items():
                values.append(FIGURES[figure](kinds["genuine"][reference], kinds[kind][others]))
        cells = (f"{np.mean(values):.3g} ± {np.std(values, ddof=1):.2g}" for values in found.values())
        print(f"| {number} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
